"""Made-up data of every kind that privkd reads, for tests and first steps: seeded, quick, and nobody's.

The same arguments give the same arrays, and the sets of two seeds share nothing. What is ours, and not from the paper that a system
comes from, each file says.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.data.procedural.aesthetics import RatingHistograms as RatingHistograms
    from privkd.data.procedural.aesthetics import rating_histograms as rating_histograms
    from privkd.data.procedural.attention import AttentionVideos as AttentionVideos
    from privkd.data.procedural.attention import attention_videos as attention_videos
    from privkd.data.procedural.bodies import stick_figures as stick_figures
    from privkd.data.procedural.damage import damaged_faces as damaged_faces
    from privkd.data.procedural.digits_in_sessions import DigitSessions as DigitSessions
    from privkd.data.procedural.digits_in_sessions import digit_sessions as digit_sessions
    from privkd.data.procedural.face_pairs import LowResolutionProtocol as LowResolutionProtocol
    from privkd.data.procedural.face_pairs import lr8 as lr8
    from privkd.data.procedural.face_pairs import masked_faces as masked_faces
    from privkd.data.procedural.face_pairs import paired_faces as paired_faces
    from privkd.data.procedural.faces import syn_faces as syn_faces
    from privkd.data.procedural.generator_traces import generated_images as generated_images
    from privkd.data.procedural.news import news_items as news_items
    from privkd.data.procedural.proposals import UntrimmedVideos as UntrimmedVideos
    from privkd.data.procedural.proposals import untrimmed_videos as untrimmed_videos
    from privkd.data.procedural.scenes import CaptionedScenes as CaptionedScenes
    from privkd.data.procedural.scenes import SceneObject as SceneObject
    from privkd.data.procedural.scenes import captioned_scenes as captioned_scenes
    from privkd.data.procedural.sprite_scenes import SCENES as SCENES
    from privkd.data.procedural.sprite_scenes import SpriteScene as SpriteScene
    from privkd.data.procedural.sprite_scenes import moving_sprites as moving_sprites
    from privkd.data.procedural.talking_heads import face_videos as face_videos
    from privkd.data.procedural.talking_heads import methods_of as methods_of
    from privkd.data.procedural.thermal import thermal_targets as thermal_targets
    from privkd.data.procedural.walkers import Pedestrians as Pedestrians
    from privkd.data.procedural.walkers import pedestrians as pedestrians

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.data.procedural.aesthetics": "RatingHistograms rating_histograms",
        "privkd.data.procedural.attention": "AttentionVideos attention_videos",
        "privkd.data.procedural.damage": "damaged_faces",
        "privkd.data.procedural.digits_in_sessions": "DigitSessions digit_sessions",
        "privkd.data.procedural.talking_heads": "face_videos methods_of",
        "privkd.data.procedural.faces": "syn_faces",
        "privkd.data.procedural.generator_traces": "generated_images",
        "privkd.data.procedural.sprite_scenes": "SCENES SpriteScene moving_sprites",
        "privkd.data.procedural.news": "news_items",
        "privkd.data.procedural.face_pairs": "LowResolutionProtocol lr8 masked_faces paired_faces",
        "privkd.data.procedural.walkers": "Pedestrians pedestrians",
        "privkd.data.procedural.proposals": "UntrimmedVideos untrimmed_videos",
        "privkd.data.procedural.scenes": "CaptionedScenes SceneObject captioned_scenes",
        "privkd.data.procedural.bodies": "stick_figures",
        "privkd.data.procedural.thermal": "thermal_targets",
    },
)
