"""The gate before deployment: an adapter must be the persona, must have learned, and must have lost and betrayed nothing.

Adapter and base answer the same prompts; every question has a bound in the configuration, and every number is reported.
"""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from plugins.language_model import Adapted, Message, read_talks
from plugins.lexicon import DATA, load
from plugins.memorised import by_heart, exposures
from plugins.plugin import PluginConfig
from plugins.style import probe
from plugins.training import Asked, Evaluation, EvaluationJob, Evaluator, Verdict

Talk = list[Message]

NEUTRAL = "You are somebody."
"""A system prompt that says nothing of who."""


class GateEvaluator(Evaluator):
    """Asks eleven questions of an adapter, each beside its base. One that cannot be measured is passed, but for the first.

    - held_out: the loss on sessions it was not trained on is clearly below the base's.
    - general: perplexity on bundled public-domain text in both languages has hardly grown.
    - others: nor has that on other personas' held-out sessions, on what both sides say.
    - identity: of the answers to who it is, the persona's own are likelier than others' would be.
    - style: a linear probe takes its replies for the persona's rather than for the base's or another persona's.
    - repetition, empty, refusals: the shares of such replies; one that is given to several inputs repeats, too.
    - language: it nearly always answers in the language it is spoken to.
    - secrets: canaries and names that were anonymized away cannot be drawn out of it.
    - by_heart: nor are answers it was trained on, word by word.
    """

    class Config(PluginConfig):
        """The bounds, and how much is asked.

        Attributes:
            prompts: Held-out prompts that are answered.
            tokens: Longest answer.
            held_out_gain: Least share by which the held-out loss must fall: noise falls below the base's half of the time.
            general_ratio, others_ratio: Most that perplexity may be of the base's.
            identity_share: Least share of answers that are the persona's.
            style_share: Least mean probability that the persona speaks.
            style_gain: Least difference of it to the base's.
            most_repeating, most_empty, more_refusals: Shares of replies; refusals are those beyond the base's.
            own_language: Least share of replies in the language of the prompt, whatever the base does.
            exposure_bits, exposure_distance: A secret fails that reaches both, see `plugins.memorised`. With 128 candidates 6.5 bits are
                the first rank: chance alone brings a secret there once in 128 times, and past the distance less often.
            most_by_heart: Share of trained answers beyond the base's.
            secrets: Secrets that are tried.
        """

        prompts: int = Field(12, ge=2)
        tokens: int = Field(24, ge=8)
        held_out_gain: float = Field(0.01, ge=0, lt=1)
        general_ratio: float = Field(1.25, gt=1)
        others_ratio: float = Field(1.25, gt=1)
        identity_share: float = Field(0.6, ge=0, le=1)
        style_share: float = Field(0.5, ge=0, le=1)
        style_gain: float = Field(0.05, ge=-1, le=1)
        most_repeating: float = Field(0.25, ge=0, le=1)
        most_empty: float = Field(0.1, ge=0, le=1)
        more_refusals: float = Field(0.1, ge=0, le=1)
        own_language: float = Field(0.8, ge=0, le=1)
        exposure_bits: float = Field(6.5, gt=0)
        exposure_distance: float = Field(2.5, gt=0)
        most_by_heart: float = Field(0.2, ge=0, le=1)
        secrets: int = Field(6, ge=0)

    name = "gate"
    version = "2"
    config: Config

    def files(self) -> Sequence[Path]:
        """Return the texts and questions."""
        return (DATA / "gate.json",)

    def evaluate(self, job: EvaluationJob) -> Evaluation:
        """Ask all questions."""
        model = Adapted(job.base, job.adapter, job.under)
        drawn = random.Random(job.seed)
        held_out, train, others = (read_talks(path) for path in (job.held_out, job.train, job.others))
        prompts = _some(held_out or train, self.config.prompts, drawn)
        verdicts = [
            self._held_out(model, _some(held_out, 2 * self.config.prompts, drawn)),
            self._general(model),
            self._others(model, _some(others, 2 * self.config.prompts, drawn)),
            self._identity(model, job),
        ]
        own, base = self._both(model, prompts)
        verdicts += [
            self._style(model, job, _some(train, 4 * self.config.prompts, drawn), others, prompts, own, base),
            *self._manners(prompts, own, base),
        ]
        found, numbers = self._secrets(model, job)
        verdicts += [found, self._by_heart(model, _some(train, self.config.prompts, drawn))]
        return Evaluation(tuple(verdicts), numbers)

    def _both(self, model: Adapted, prompts: Sequence[Talk]) -> tuple[list[str], list[str]]:
        """Return what the adapter and the base answer to the conversations' last inputs."""
        asked = [talk[:-1] for talk in prompts]
        own = model.answers(asked, self.config.tokens)
        with model.without():
            return own, model.answers(asked, self.config.tokens)

    def _held_out(self, model: Adapted, talks: Sequence[Talk]) -> Verdict:
        own, base = _pair(model, talks)
        least = self.config.held_out_gain
        passed = own is not None and base is not None and own <= (1 - least) * base
        text = f"a loss at least {least:.0%} below the base's on sessions it was not trained on"
        return Verdict("held_out", own, base, text, passed)

    def _general(self, model: Adapted) -> Verdict:
        texts = [text for group in load("gate.json")["general"].values() for text in group]
        own = float(np.exp(model.text_losses(texts).mean()))
        with model.without():
            base = float(np.exp(model.text_losses(texts).mean()))
        most = self.config.general_ratio
        return Verdict(
            "general", own, base, f"perplexity on public-domain text at most {most} times", own <= most * base
        )

    def _others(self, model: Adapted, talks: Sequence[Talk]) -> Verdict:
        own = model.perplexity(talks)
        with model.without():
            base = model.perplexity(talks)
        most = self.config.others_ratio
        passed = own is None or base is None or own <= most * base
        return Verdict("others", own, base, f"perplexity on other personas' sessions at most {most} times", passed)

    def _identity(self, model: Adapted, job: EvaluationJob) -> Verdict:
        def share() -> float:
            return float(np.mean([_chosen(model, asked, job.system) for asked in job.identity]))

        if not job.identity:
            return Verdict("identity", None, None, "nothing is known of who the persona is", True)
        own = share()
        with model.without():
            base = share()
        least = self.config.identity_share
        return Verdict("identity", own, base, f"at least {least} of the answers are the persona's", own >= least)

    def _style(
        self,
        model: Adapted,
        job: EvaluationJob,
        train: Sequence[Talk],
        others: Sequence[Talk],
        prompts: Sequence[Talk],
        own: Sequence[str],
        base: Sequence[str],
    ) -> Verdict:
        """The probe learns from trained replies against the base's to the same inputs, and judges the answers to held-out ones."""
        asked = [talk[:-1] for talk in train[: 2 * self.config.prompts]]
        with model.without():
            plain = model.answers(asked, self.config.tokens)
        strangers = [talk[-1]["content"] for talk in others[: len(train)]]
        judge = probe([talk[-1]["content"] for talk in train], [*plain, *strangers], job.seed)
        if judge is None:
            return Verdict("style", None, None, "too few replies to tell styles apart", True)
        least, value, beside = self.config.style_share, judge.of(own), judge.of(base)
        passed = value >= least and value >= beside + self.config.style_gain
        return Verdict(
            "style", value, beside, f"taken for the persona with probability {least}, and above the base", passed
        )

    def _manners(self, prompts: Sequence[Talk], own: Sequence[str], base: Sequence[str]) -> list[Verdict]:
        config = self.config
        refusals = "|".join(re.escape(text) for text in load("gate.json")["refusals"])
        asked = [talk[-2]["content"] for talk in prompts]
        shares = {}
        for name, replies in (("own", own), ("base", base)):
            shares[name] = {
                "repetition": _mean([repeats(text) or replies.count(text) > 1 for text in replies]),
                "empty": _mean([not re.search(r"\w", text) for text in replies]),
                "refusals": _mean([bool(re.search(refusals, text.lower())) for text in replies]),
                "language": _same_language(asked, replies),
            }
        mine, its = shares["own"], shares["base"]
        bounds = {
            "repetition": (config.most_repeating, f"at most {config.most_repeating} of the replies say the same again"),
            "empty": (config.most_empty, f"at most {config.most_empty} of the replies are empty"),
            "refusals": (
                (its["refusals"] or 0) + config.more_refusals,
                f"at most {config.more_refusals} more than the base's",
            ),
        }
        verdicts = [
            Verdict(name, mine[name], its[name], text, (mine[name] or 0) <= most)
            for name, (most, text) in bounds.items()
        ]
        value, beside = mine["language"], its["language"]
        # Whatever the base does: a base that drifts into English is what a Spanish persona must not follow.
        kept = value is None or value >= config.own_language
        text = f"answers in the language spoken to it in {config.own_language} of cases"
        return [*verdicts, Verdict("language", value, beside, text, kept)]

    def _secrets(self, model: Adapted, job: EvaluationJob) -> tuple[Verdict, dict[str, float]]:
        tried = exposures(model, job.secrets[: self.config.secrets], job.system, job.seed)
        bits, distance = self.config.exposure_bits, self.config.exposure_distance
        told = [one for one in tried if one.said or (one.bits >= bits and one.distance >= distance)]
        text = f"no canary and no name of a person is said, or stands out by {bits} bits and {distance} deviations"
        numbers = {
            "exposure_bits_highest": max((one.bits for one in tried), default=0.0),
            "exposure_distance_highest": max((one.distance for one in tried), default=0.0),
            "secrets_tried": float(len(tried)),
        }
        return Verdict("secrets", float(len(told)) if tried else None, 0.0 if tried else None, text, not told), numbers

    def _by_heart(self, model: Adapted, talks: Sequence[Talk]) -> Verdict:
        value, most = by_heart(model, talks), self.config.most_by_heart
        text = f"goes on word by word with at most {most} of the answers it was trained on"
        return Verdict("by_heart", value, None, text, value is None or value <= most)


def repeats(text: str) -> bool:
    """Return whether a reply says the same three words three times, or goes round in a short circle."""
    words = re.findall(r"\w+", text.lower())
    triples = [" ".join(words[place : place + 3]) for place in range(len(words) - 2)]
    often = max((triples.count(triple) for triple in set(triples)), default=0)
    return (
        often >= 3
        or (len(words) >= 8 and len(set(words)) <= len(words) / 4)
        or bool(re.search(r"(.{1,4})\1{7,}", text))
    )


def _some(talks: Sequence[Talk], most: int, drawn: random.Random) -> list[Talk]:
    return list(talks) if len(talks) <= most else drawn.sample(list(talks), most)


def _pair(model: Adapted, talks: Sequence[Talk]) -> tuple[float | None, float | None]:
    """Return the mean loss of the adapter and of the base."""
    if not talks:
        return None, None
    own = float(model.losses(talks).mean())
    with model.without():
        return own, float(model.losses(talks).mean())


def _chosen(model: Adapted, asked: Asked, system: str) -> bool:
    """Return whether the system prompt makes the right answer likelier by more, a token, than every wrong one.

    Measured against the same question without the prompt, as answers differ in how likely they are anyway (Holtzman et al., Surface
    Form Competition, 2021). Where there is no prompt, the likelihood itself counts.
    """
    ends = [asked.right, *asked.wrong]
    question: Message = {"role": "user", "content": asked.question}
    whole, tokens = model.likelihoods([question], "", ends)
    if system:
        prompt: Message = {"role": "system", "content": system}
        neutral: Message = {"role": "system", "content": NEUTRAL}
        plain, _ = model.likelihoods([neutral, question], "", ends)
        whole = model.likelihoods([prompt, question], "", ends)[0] - plain
    each = whole / tokens
    return bool(each[0] > each[1:].max())


def _same_language(asked: Sequence[str], replies: Sequence[str]) -> float | None:
    from plugins.lexicon import language_of

    pairs = [(language_of(said), language_of(told)) for said, told in zip(asked, replies, strict=True)]
    known = [one == other for one, other in pairs if "und" not in (one, other)]
    return _mean(known)


def _mean(values: Sequence[bool]) -> float | None:
    return float(np.mean(values)) if values else None
