"""Search a network from sequence-class scores to expression.

Networks of one search space (`--space` prints it) are proposed by a strategy, trained on the
training genes and evaluated on the validation genes. The best are compared with the network that
the search starts from, out of fold over training and validation genes, and the one that is returned
is trained on both. One network predicts all cell types of a data set, with one head per cell type;
the loss weights a head by the reliability of its cell type. Equations are distilled from the
network's predictions, or where these are better out of fold, from those of boosted trees or from
the mean of both. A search that was killed goes on from its journal when it is started again with
the same output folder.
"""

from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

import pandas as pd

from ...artifacts import ABSOLUTE, PREDICTIONS, SPECIFIC, TARGETS, TRIALS, of_target, remove
from ...checks import check_int
from ...errors import GeneqError
from ...teacher import TrainedTeacher
from .data import Data, load_data
from .exploring import AUTO, Explorer, Settings, Trial, choose, table
from .journal import Journal
from .space import described, digest
from .strategies import STRATEGIES
from .teachers import TEACHERS, Prediction, choose_teacher
from .training import Workers

__all__ = ["add_arguments", "run", "search"]


class Space(Action):
    """Print the search space and exit."""

    def __call__(self, parser, namespace, values, option_string=None):
        print(described())
        parser.exit()


def trials_of(text: str) -> int | str:
    """The value of --trials."""
    if text == AUTO:
        return AUTO
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a number or {AUTO}, not {text!r}") from None


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--space", action=Space, nargs=0, help="print the search space and exit")
    parser.add_argument("--features", required=True, help="features.zarr of the genome")
    parser.add_argument("--expression", required=True, help="folder written by `geneq pseudobulk`")
    parser.add_argument("--genes", required=True, help="genes.parquet of the genome")
    parser.add_argument(
        "--test_fold",
        type=int,
        choices=range(5),
        help="test this fold and validate on the next one (default: the table's own split)",
    )
    parser.add_argument(
        "--strategy",
        choices=list(STRATEGIES),
        default="tpe",
        help="how networks are proposed (default: tpe)",
    )
    parser.add_argument(
        "--teacher",
        choices=TEACHERS,
        default=AUTO,
        help="whose predictions equations are distilled from: the network's, those of boosted "
        "trees, the mean of both, or the best of these out of fold (auto, the default); variables "
        "are the network's in any case",
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default=ABSOLUTE,
        help="what is predicted: expression (absolute, the default), or also expression minus the "
        "gene's mean over cell types (specific); both count in the loss, and are distilled",
    )
    parser.add_argument(
        "--trials",
        type=trials_of,
        default=16,
        help="number of networks, or auto: until more stop helping (default: 16)",
    )
    parser.add_argument(
        "--epochs", type=int, default=40, help="epochs that a network is trained (default: 40)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of search and training (default: 1)"
    )
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Run the search and write teacher, trials and predictions."""
    if args.trials != AUTO:
        check_int(args.trials, "--trials", 1)
    check_int(args.epochs, "--epochs", 1)
    check_int(args.seed, "--seed", 0, 2**32 - 1)
    data = load_data(args.features, args.expression, args.genes, args.test_fold, args.target)
    settings = Settings(args.strategy, args.trials, args.epochs, args.seed)
    out = Path(args.out)
    journal = Journal(out / "journal.jsonl", journal_head(data, settings))
    teacher, trials, network = search(data, settings, journal, args.threads)
    loss = teacher.about["validation_loss"]
    name, prediction, losses = choose_teacher(
        args.teacher, network, loss, data, args.seed, args.threads
    )
    teacher.about.update(predictions=name, losses=losses)
    # Together at the end: a search that stops before that leaves its journal alone.
    TRIALS.write(trials, out / "trials.parquet")
    for target, heads in data.targets.items():
        predictions = data.long(heads, measured=data.y, **prediction.columns())
        PREDICTIONS.write(
            predictions.dropna(subset="measured"), of_target(out, target) / "predictions.parquet"
        )
    if SPECIFIC not in data.targets:
        remove(of_target(out, SPECIFIC))  # of an earlier search
    teacher.save(out)
    journal.remove()
    print(f"{len(trials)} trials, validation loss {loss:.4f} (1 = predicting the mean)")
    compared = ", ".join(f"{key} {value:.4f}" for key, value in losses.items())
    print(f"teacher: {name}; losses out of fold: {compared}")


def journal_head(data: Data, settings: Settings) -> dict:
    """What determines the results of trainings."""
    return {
        "space": digest(),
        "data": data.digest,
        "strategy": settings.strategy,
        "epochs": settings.epochs,
        "seed": settings.seed,
    }


def search(
    data: Data, settings: Settings, journal: Journal, threads: int
) -> tuple[TrainedTeacher, pd.DataFrame, Prediction]:
    """Find and train the network; also every trial as the table TRIALS, and its predictions."""
    with Workers.of(data, threads) as workers:
        explorer = Explorer(data, workers, settings, journal)
        trials = explorer.trials()
        finalists = explorer.finalists(trials)
        if not finalists:
            raise GeneqError(
                "No trial of the architecture search reached a finite validation loss",
                value=data.dataset,
                fix="Look for extreme values in the expression table",
            )
        chosen = choose(finalists)
        trained = explorer.final(chosen.trial)
    classes = [block.classes for block in data.features.blocks]
    about = _about(data, settings, chosen.trial)
    teacher = TrainedTeacher(trained.network, trained.scaling, classes, data.cell_types, about)
    members = teacher.members(teacher.pooled(data.features))
    prediction = Prediction(members.mean(0), chosen.predicted, members.std(0))
    return teacher, table(trials, finalists, chosen.trial), prediction


def _about(data: Data, settings: Settings, chosen: Trial) -> dict:
    return {
        "dataset": data.dataset,
        "test_fold": data.test_fold,
        "seed": settings.seed,
        "strategy": settings.strategy,
        "features": data.features.about,
        "weight": data.weight,
        "ceilings": data.ceilings[ABSOLUTE],
        "specific_ceilings": data.ceilings.get(SPECIFIC),
        "validation_loss": chosen.loss,
        "epochs": chosen.epochs,
    }
