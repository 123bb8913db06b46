"""A cascade whose every answer is entered in a history, whichever door asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pneumocascade.inference.cascade import Cascade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pneumocascade.audit.history import History
    from pneumocascade.inference.prepare import AnySource
    from pneumocascade.types import Prediction


class AuditedCascade(Cascade):
    """Gives the answers of a cascade, each after it was entered.

    Parameters
    ----------
    cascade : Cascade
    history : History
        An answer that cannot be entered is not given: what it raises goes to whoever asked.
    """

    def __init__(self, cascade: Cascade, history: History) -> None:
        super().__init__(cascade.stage1, cascade.stage2, cascade.version, cascade.gate, cascade.reader)
        self.history = history
        self._unrecorded = cascade

    @property
    def unrecorded(self) -> Cascade:
        """The same cascade, whose answers are entered nowhere."""
        return self._unrecorded

    def predict_many(self, sources: Iterable[AnySource], **options: Any) -> Iterator[Prediction]:
        """Judge many films as :meth:`Cascade.predict_many` does, with its options."""
        return map(self.enter, super().predict_many(sources, **options))

    def enter(self, prediction: Prediction) -> Prediction:
        """Enter an answer and return it.

        Raises
        ------
        StorageError
            Where it cannot be entered.
        """
        self.history.add(prediction)
        return prediction
