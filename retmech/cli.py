"""`retmech <verb>`: parse arguments, and call the verb."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from retmech.commands import mechanisms, models, pages, people, recordings
from retmech.errors import RetmechError
from retmech.runs import at_work

Add = Callable[[str, Callable[[argparse.Namespace], None], str], "Verb"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 1 after printing what the user has to mend."""
    known = parser()
    args, rest = known.parse_known_args(arguments)
    args.snakemake = rest
    if args.snakemake and args.verb != "run":
        known.error(f"unrecognized arguments: {' '.join(args.snakemake)}")
    try:
        with nullcontext() if args.verb == "run" else at_work(_made(args)):
            args.run(args)
    except RetmechError as error:
        print(f"retmech {args.verb}: error: {error}", file=sys.stderr)
        return 1
    return 0


def _made(args: argparse.Namespace) -> str:
    """What a verb makes, for those who wait for it."""
    made = getattr(args, "output", getattr(args, "retina", ""))
    return " ".join(map(str, [args.verb, *(made if isinstance(made, list) else [made])]))


class Verb(argparse.ArgumentParser):
    """The arguments of one verb."""

    def config(self) -> "Verb":
        """Take the settings of the stage."""
        self.add_argument("--config", default="{}", help="the stage's settings as JSON; defaults for what is left out")
        return self

    def files(self, *names: str, required: bool = True) -> "Verb":
        """Take one file each."""
        for name in names:
            self.add_argument(f"--{name}", type=Path, required=required)
        return self

    def several(self, *names: str, required: bool = True) -> "Verb":
        """Take files by name each, at least one if they are required."""
        for name in names:
            count = {"nargs": "+", "required": True} if required else {"nargs": "*", "default": []}
            self.add_argument(f"--{name}", metavar="NAME=PATH", **count)
        return self

    def threads(self) -> "Verb":
        """Take a number of threads."""
        self.add_argument("--threads", type=_positive, default=1)
        return self


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {text}")
    return number


def parser() -> argparse.ArgumentParser:
    """Return what understands the arguments of all verbs."""
    made = argparse.ArgumentParser(prog="retmech", description="From retinal recordings to mechanisms, stage by stage.")
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Verb)

    def verb(name: str, run: Callable[[argparse.Namespace], None], text: str) -> Verb:
        added: Verb = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    for add in (_of_recordings, _of_models, _of_mechanisms, _of_pages, _of_people):
        add(verb)
    return made


def _of_recordings(verb: Add) -> None:
    sub = verb("simulate", recordings.do_simulate, "Record a simulated retina.").config()
    sub.files("naturalscene", "whitenoise", "retina")
    sub = verb("truth", recordings.do_truth, "Take a simulated retina's own responses apart.").config()
    sub.files("retina", "recording", "output").several("probe")
    sub = verb("ingest", recordings.do_ingest, "Read, cut, align and check a raw recording.").config()
    sub.files("output").several("stimulus")
    sub = verb("observe", recordings.do_observe, "Read the recorded cells' own responses to probes.").config()
    sub.files("recording", "output").several("probe")


def _of_models(verb: Add) -> None:
    sub = verb("train", models.do_train, "Fit a model to a recording, or to several that share it.").config().threads()
    sub.files("scratch").several("recording", "output")
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument(
        "--devices", type=_positive, default=1, help="processes per node, one for each GPU; CPU cores where there is none"
    )
    sub.add_argument("--nodes", type=_positive, default=1)
    sub.add_argument("--accelerator", default="auto", choices=["auto", "cpu", "gpu"])
    sub = verb("evaluate", models.do_evaluate, "Hold models against the recording.").threads()
    sub.files("recording", "output").several("model")
    sub = verb("synthesize", models.do_synthesize, "Draw a probe stimulus.").config().threads()
    sub.files("recording", "output")
    sub.add_argument("--model", type=Path, help="for a probe that is made with a trained model")
    verb("respond", models.do_respond, "Show a probe to a model.").threads().files("model", "probe", "output")
    sub = verb("summarize", models.do_summarize, "Put all readouts into one table.")
    sub.files("output", "table").several("responses", "retinas")


def _of_mechanisms(verb: Add) -> None:
    sub = verb("attribute", mechanisms.do_attribute, "Attribute responses to interneurons.").config().threads()
    sub.files("model", "probe", "output")
    sub = verb("reduce", mechanisms.do_reduce, "Reduce attributions to factors.").config()
    sub.files("output").several("attributions")
    sub = verb("consensus", mechanisms.do_consensus, "Compare what several seeds, or recordings, have found.").config()
    sub.files("output").several("model", "reduction", "attributions")
    sub = verb("explain", mechanisms.do_explain, "Build the reduced circuits and test them.").config().threads()
    sub.files("model", "reduction", "recording", "output").several("attributions", "probe")
    sub = verb("recover", mechanisms.do_recover, "Hold a model's channels against the true pathways.").config().threads()
    sub.files("model", "retina", "truth", "reduction", "circuit", "output").several("attributions", "probe")
    sub = verb("compare", mechanisms.do_compare, "Hold channels against recorded interneurons.").config().threads()
    sub.files("model", "reduction", "output")
    verb("export", mechanisms.do_export, "Write the circuit as a PyTorch module and as tables.").files("circuit", "output")


def _of_pages(verb: Add) -> None:
    sub = verb("draw", pages.do_draw, "Draw every panel for papers, of a recording or of one run.").config()
    sub.files("output").several("probe", "responses")
    sub.several("retinas", "model", "performance", "consensus", "attributions", required=False)
    sub.files("recording", "reduction", "circuit", "recovery", "interneurons", required=False)
    sub = verb("report", pages.do_report, "Make the page of one recording.").config()
    sub.add_argument("--name", required=True, help="of the recording")
    sub.files("recording", "output").several("model", "performance", "probe", "responses", "retinas")
    sub.several("attributions", "reduction", "circuit", "recovery", "interneurons", "consensus", required=False)
    sub.add_argument("--retina", type=Path, help="the simulated retina that was recorded")
    sub = verb("gather", pages.do_gather, "Make one page of the pages of all recordings.").config()
    sub.files("output").several("pages").several("consensus", required=False)


def _of_people(verb: Add) -> None:
    verb("run", people.do_run, "Run the pipeline; all other arguments go to snakemake.")
    inspect = verb("inspect", people.do_inspect, "Print what is in a file or folder, raw or of a stage.")
    validate = verb("validate", people.do_validate, "Say everything that is wrong with a file or folder, raw or of a stage.")
    validate.add_argument("--strict", action="store_true", help="exit with 1 on warnings too")
    for sub in (inspect, validate):
        sub.config().add_argument("file", type=Path)
        sub.add_argument("--stimulus", default="naturalscene", help="stimulus class, for formats with several in a file")
    sub = verb("fetch", people.do_fetch, "Download sessions of a public data set; without a name, list them.")
    sub.add_argument("name", nargs="?")
    sub.add_argument("--sessions", nargs="+", default=[])
    sub.add_argument("--stimuli", nargs="+", default=[])
    sub.add_argument("--folder", type=Path, default=Path("data"))
    sub = verb("docs", people.do_docs, "Write the config's schema and reference.")
    sub.add_argument("--folder", type=Path, default=Path())


if __name__ == "__main__":
    sys.exit(main())
