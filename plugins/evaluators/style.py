"""A linear probe of style: whose way of speaking a reply shows, the persona's or somebody else's."""

from collections.abc import Sequence

import numpy as np

LEAST = 6
"""Replies of each side below which there is no probe."""
DIMENSIONS = 2**14


class StyleProbe:
    """Logistic regression on hashed character n-grams of a persona's own replies against others'.

    Both sides weigh the same however many replies they have. Cost is linear in the characters.
    """

    def __init__(self, own: Sequence[str], others: Sequence[str], seed: int) -> None:
        from sklearn.linear_model import LogisticRegression

        labels = np.array([1] * len(own) + [0] * len(others))
        self._model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=500, random_state=seed)
        self._model.fit(self._features([*own, *others]), labels)

    @staticmethod
    def _features(texts: Sequence[str]) -> object:
        from sklearn.feature_extraction.text import HashingVectorizer

        letters = HashingVectorizer(analyzer="char_wb", ngram_range=(1, 4), n_features=DIMENSIONS, lowercase=False)
        return letters.transform([text[:300] for text in texts])

    def of(self, texts: Sequence[str]) -> float:
        """Return the mean probability that the persona said the texts."""
        return float(self._model.predict_proba(self._features(texts))[:, 1].mean()) if texts else 0.0


def probe(own: Sequence[str], others: Sequence[str], seed: int) -> StyleProbe | None:
    """Return a probe, None where one side has too few replies."""
    own, others = [text for text in own if text.strip()], [text for text in others if text.strip()]
    return StyleProbe(own, others, seed) if min(len(own), len(others)) >= LEAST else None
