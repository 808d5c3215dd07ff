"""The ways of transcription, one file each."""
