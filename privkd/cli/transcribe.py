"""`privkd transcribe`: from a teacher in a file to a student in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from privkd.cli.output import emit, refusals

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accountants import Ledger
    from privkd.data import Records
    from privkd.teachers import CertifiedModel, InputSpec, TeacherEnsemble

Number = TypeVar("Number", int, float)


def transcribe(
    epsilon: Annotated[float, typer.Option(help="hard cap on the privacy cost in the chosen scope, nats")],
    out: Annotated[Path, typer.Option(help="folder to make: student, certificate, ledger")],
    teacher: Annotated[
        str | None,
        typer.Option(
            help="file of weights with its JSON, folder of an ensemble or of a release, module:function, or program; "
            "none is needed for --records with --queries"
        ),
    ] = None,
    delta: Annotated[float | None, typer.Option(help="failure mass, below 1/n; default: at most 1/(10 n)")] = None,
    scope: Annotated[str | None, typer.Option(help="training-record, teacher or synthetic-label")] = None,
    queries: Annotated[str | None, typer.Option(help="file of PUBLIC inputs, or how many to generate")] = None,
    records: Annotated[str | None, typer.Option(help="file of the private inputs and labels, if at hand")] = None,
    classes: Annotated[
        int | None, typer.Option(help="number of classes, public; default: what the teacher says")
    ] = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            help="public names of the classes in order: cat,dog or a file with a name per line; needed for text"
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="auto, votes, gnmax, cells, dpsd or certified")] = "auto",
    mode: Annotated[str, typer.Option(help="sound, or paper for a published method as it was")] = "sound",
    seed: Annotated[int | None, typer.Option(help="of public randomness; noise is never seeded")] = None,
    input_shape: Annotated[str | None, typer.Option(help="of one input, such as 64 or 1,28,28")] = None,
    input_range: Annotated[str | None, typer.Option(help="smallest and largest input value, such as 0,1")] = None,
    model: Annotated[
        str | None, typer.Option(help="module:function that builds a network of your own class for the weights")
    ] = None,
    trust_program: Annotated[
        bool, typer.Option("--trust-program", help="run a TorchScript or .pt2 file: its author is trusted like code")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(help="file that counts everything released from the same private data; made if absent"),
    ] = None,
    ledger_epsilon: Annotated[
        float | None, typer.Option(help="budget of all releases together, for a new --ledger; needs --delta")
    ] = None,
    count_failures: Annotated[
        bool, typer.Option("--count-failures", help="spend a tenth of the budget on a noisy count of failed teachers")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the answers that an interrupted transcription paid for")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace an earlier transcription in the folder")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Turn a teacher that saw private data into a student with a certificate.

    A single non-private teacher gives scope synthetic-label, which is NOT a guarantee for training records;
    an ensemble, a certified model, or private records with public queries give scope training-record.

    Answers are kept in the hidden folder .OUT.paid until the student is saved: what is interrupted goes on with
    --resume and the same options, and pays nothing twice.

    In Python: privkd.transcribe(load_teacher(teacher), epsilon, delta,
    queries=load(queries).inputs).save(out)
    """
    with refusals():
        from privkd import transcribe as run
        from privkd.certificates.release_folder import require_free

        require_free(out, overwrite=overwrite)  # before minutes of work and before any privacy is spent
        paid = _paid_folder(out, resume=resume)
        loaded, known = _teacher(teacher, model=model, trust_program=trust_program)
        made = run(
            loaded,
            epsilon,
            delta,
            scope=scope,
            queries=_queries(queries),
            records=_records(records),
            classes=_classes(classes, class_names),
            method=method,
            mode=mode,
            seed=seed,
            inputs=_input_spec(known, input_shape, input_range),
            ledger=_common_ledger(ledger, scope, ledger_epsilon, delta),
            count_failures=count_failures,
            folder=paid,
        )
        made.save(out, overwrite=overwrite)
        shutil.rmtree(paid, ignore_errors=True)
    certificate = made.certificate
    values = {"directory": str(out), "method": made.method, "certificate": certificate.to_dict()}
    rows = [
        ("guarantee", str(certificate)),
        ("method", made.method),
        ("ledger", f"{len(made.ledger.events)} charges, head {made.ledger.digest}"),
    ]
    emit(values, as_json=as_json, title=f"Student: {out}", rows=rows)


def _teacher(
    source: str | None, *, model: str | None, trust_program: bool
) -> tuple[nn.Module | TeacherEnsemble | CertifiedModel | None, InputSpec | None]:
    """The teacher, and what its file declares of inputs."""
    from privkd.certificates.release_folder import is_transcription
    from privkd.teachers import CertifiedModel, load_teacher
    from privkd.teachers.files.teacher import input_spec_of
    from privkd.transcription import load

    if source is None:
        return None, None
    if Path(source).is_dir() and is_transcription(source):
        release = load(source)
        return CertifiedModel(release), release.spec
    return load_teacher(source, model=model, trust_program=trust_program), input_spec_of(source)


def _paid_folder(out: Path, *, resume: bool) -> Path:
    """Where the answers are kept until the student is saved."""
    paid = out.parent / f".{out.name}.paid"
    if paid.exists() and not resume:
        raise FileExistsError(
            f"{paid} holds answers that an interrupted transcription paid for; --resume goes on with them and the same options. "
            "Delete the folder to pay for new ones"
        )
    if resume and not paid.exists():
        raise FileNotFoundError(
            f"--resume: there is no {paid}, so nothing was interrupted after it had paid; leave it out"
        )
    return paid


def _common_ledger(path: Path | None, scope: str | None, epsilon: float | None, delta: float | None) -> Ledger | None:
    from accountants import Ledger

    if path is None:
        if epsilon is not None:
            raise ValueError(f"--ledger-epsilon={epsilon:g} is the budget of a ledger; give --ledger FILE as well")
        return None
    if path.exists():
        return Ledger.open(path, epsilon=epsilon, delta=None if epsilon is None else delta)
    if epsilon is not None and delta is None:
        raise ValueError(f"--ledger-epsilon={epsilon:g} needs --delta, which is the budget's as well")
    unit = scope or "training-record"
    budget = {} if epsilon is None else {"epsilon": epsilon, "delta": delta}
    return Ledger.open(path, adjacency="replace-one", unit=unit, **budget)


def _queries(text: str | None) -> Tensor | int | None:
    from privkd.data import load

    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    if not Path(text).exists():
        raise FileNotFoundError(f"--queries={text} is neither a file nor a whole number of queries to generate")
    return load(text, classes="found").inputs


def _records(text: str | None) -> Records | None:
    from privkd.data import load

    if text is None:
        return None
    found = load(text, classes="found")  # `transcribe` refuses these names, but for those of declared classes
    if found.labels is None:
        raise ValueError(f"--records={text} holds inputs without labels; the labels are what is counted")
    return found  # with the names of its classes, if it has any


def _classes(count: int | None, names: str | None) -> int | list[str] | None:
    """What the options declare of the classes: how many, or what they are called."""
    if names is None:
        return count
    if count is not None:
        raise ValueError(
            f"--classes={count} was given beside --class-names, which tell the number; give one of the two"
        )
    if "," in names:
        return [name.strip() for name in names.split(",")]
    path = Path(names)
    if not path.is_file():
        raise FileNotFoundError(
            f"--class-names={names} must be two or more names separated by commas, such as cat,dog, or a file with a name per line"
        )
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def _input_spec(known: InputSpec | None, shape: str | None, value_range: str | None) -> InputSpec | None:
    """What the options declare; for what they leave open, what the teacher's file declares."""
    from privkd.teachers import InputSpec

    if shape is None and value_range is None:
        return known
    if shape is None and known is None:
        raise ValueError(
            f"--input-range={value_range} needs --input-shape beside it: the teacher declares no input shape"
        )
    sides = known.shape if shape is None and known is not None else _numbers("--input-shape", shape, int)
    low, high = (known.low, known.high) if known is not None else (0.0, 1.0)
    if value_range is not None:
        ends = _numbers("--input-range", value_range, float)
        if len(ends) != 2:
            raise ValueError(f"--input-range={value_range} must be two numbers, smallest and largest, such as 0,1")
        low, high = ends
    return InputSpec(sides, low=low, high=high)


def _numbers(option: str, text: str | None, kind: type[Number]) -> tuple[Number, ...]:
    try:
        return tuple(kind(part) for part in (text or "").split(","))
    except ValueError:
        raise ValueError(f"{option}={text} must be numbers separated by commas, such as 1,28,28 or 0,1") from None
