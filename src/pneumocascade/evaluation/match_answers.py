"""Two sets of answers brought together, film by film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumocascade.datasets.match import parts_of
from pneumocascade.errors import DataSetError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from pneumocascade.evaluation.answers import AnswerSet, FilmAnswer

    Pair: TypeAlias = tuple[FilmAnswer, FilmAnswer]


@dataclass(frozen=True, slots=True)
class MatchedAnswers:
    """Two sets of answers, film by film.

    Attributes
    ----------
    pairs : tuple of (FilmAnswer, FilmAnswer)
        Of films that both sets hold with the same reference standard.
    only_a, only_b : tuple of str
        Sources that one set alone holds.
    truth_differs : tuple of str
        Sources, in the first set, of films whose reference standards differ; they are in no pair.
    """

    pairs: tuple[Pair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    truth_differs: tuple[str, ...]

    @property
    def answered(self) -> list[Pair]:
        """The pairs in which both have an answer."""
        return [pair for pair in self.pairs if all(answer.status == "ok" for answer in pair)]


def match_answers(first: AnswerSet, second: AnswerSet) -> MatchedAnswers:
    """Bring together the answers to the same film.

    1. Answers with the same source belong together.
    2. Of the others, those whose sources end in the same folder and file name, where that is the only one
       on either side: the same folder of films may have been given by another path, on Windows, too.

    Raises
    ------
    DataSetError
        Where no film is in both.
    """
    left = {answer.source: answer for answer in first.answers}
    right = {answer.source: answer for answer in second.answers}
    found = [(left.pop(source), right.pop(source)) for source in list(left) if source in right]
    left_ends, right_ends = _by_end(left.values()), _by_end(right.values())
    for end in left_ends.keys() & right_ends.keys():
        pair = left_ends[end], right_ends[end]
        found.append(pair)
        del left[pair[0].source], right[pair[1].source]
    if not found:
        raise DataSetError(
            f"no film is in both {first.name} and {second.name}, such as {first.answers[0].source} and "
            f"{second.answers[0].source}: expected answers to the same films"
        )
    found.sort(key=lambda pair: pair[0].source)
    same = [pair for pair in found if pair[0].truth == pair[1].truth]
    differs = [pair[0].source for pair in found if pair[0].truth != pair[1].truth]
    return MatchedAnswers(tuple(same), tuple(sorted(left)), tuple(sorted(right)), tuple(differs))


def _by_end(answers: Iterable[FilmAnswer]) -> dict[tuple[str, ...], FilmAnswer]:
    """Return answers by folder and name of their films, but for those that share one."""
    ends: dict[tuple[str, ...], list[FilmAnswer]] = {}
    for answer in answers:
        ends.setdefault(parts_of(answer.source)[-2:], []).append(answer)
    return {end: members[0] for end, members in ends.items() if len(members) == 1}
