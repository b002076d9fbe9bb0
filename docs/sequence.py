"""The protocol's messages in order, from the tables of legal messages: as a diagram and as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import svg

from vflfast.protocol import matching, steps
from vflfast.protocol import messages as ms

Link = tuple[str, str]
PHASES = ("match", "setup", "woe", "forward", "gradient", "update", "vote", "inference", "score", "joint", "end")
TITLES = {
    "match": "matching, a session of its own",
    "setup": "setup, of training and of every scoring session",
    "setup again": "setup, of training only",
    "woe": "weight of evidence of the hosts' classes",
    "forward": "residual",
    "gradient": "gradient",
    "update": "step of solver lbfgs",
    "vote": "vote",
    "inference": "standard errors, after the last round",
    "score": "scores and threshold",
    "end": "before results are used",
}
EVERY_ROUND = ("forward", "gradient", "update", "vote")

# what sends a message that not every session has
WHEN: dict[steps.Kind, str] = {
    matching.HostTokens: "ids hmac, hash, sm3", matching.CommonTokens: "ids hmac, hash, sm3",
    **dict.fromkeys((matching.MatchingNonce, matching.BlindedIds, matching.BlindedReply, matching.CommonPlaces), "ids ecdh"),
    ms.TrainingLabels: "profile patent",
    **dict.fromkeys((ms.EncryptedLabels, ms.ClassSums, ms.SumsQuota, ms.MaskedSums, ms.OpenedSums, ms.ClassEvidence), "host_woe"),
    ms.Quota: "training", ms.ThresholdChoice: "training",
    ms.MaskSeed: "solver lbfgs; scoring joint", ms.InnerProducts: "solver lbfgs", ms.HalfRange: "residual logistic",
    ms.PenaltyChoice: "alpha search",
    **dict.fromkeys((ms.Curvature, ms.WeighedColumn, ms.ColumnMoments, ms.CrossMoments, ms.StandardErrors), "inference"),
    ms.ScoreShare: "scoring combined", ms.ScaleSeed: "scoring joint: training; combined: output probability",
    ms.JointShare: "scoring joint; output probability",
    ms.CombinedScores: "threshold ks, precision; output scores, probability",
}  # fmt: skip
ONLY_PATENT: dict[tuple[Link, steps.Kind], str] = {(("arbiter", "host"), ms.ScoreLabels): "the hosts: profile patent"}
ALSO = {(ms.CombinedScores, ms.ThresholdChoice)}  # on different links: the guest chooses τ from what it was shown

# what a message tells its receiver, beyond its size and time
LEARNS: dict[steps.Kind, str] = {
    matching.HostTokens: "guest: which of its customers a host has; and every id that it can guess: all of eleven digits",
    matching.CommonTokens: "host: which of its customers all have",
    matching.MatchingNonce: "nothing",
    matching.BlindedIds: "host: how many ids the guest has",
    matching.BlindedReply: "guest: how many ids the host has, and which are in common",
    matching.CommonPlaces: "host: which of its customers all have",
    ms.Hello: "all: name, settings, number of columns, how far they set single rows apart, last round in the journal",
    ms.KeyAnnouncement: "guest, hosts: n, and that it is no trap",
    ms.RowCommitment: "guest, hosts: number of rows; whether all have the same in the same order",
    ms.TrainingLabels: "hosts: every training label [0080]",
    ms.OrderSeed: "hosts: the secret order of the scores; the arbiter never sees it",
    ms.Quota: "arbiter: number of rows, largest value in the party's columns",
    ms.EncryptedLabels: "nothing: encrypted",
    ms.ClassSums: "guest: rows of every class of a host's features, without names",
    ms.SumsQuota: "arbiter: about how many classes a host has",
    ms.MaskedSums: "arbiter: nothing: masks are uniform modulo n",
    ms.OpenedSums: "guest: positives of those classes; classes below 50 rows take no part",
    ms.ClassEvidence: "host: the WOE of its classes, and so about their positives",
    ms.MaskSeed: "the other: masks that nobody else knows",
    ms.HalfRange: "about the mean and the deviation of u of the other data parties",
    ms.PenaltyChoice: "hosts: which of five penalties comes next, or is the best",
    ms.InnerProducts: "data parties: sums of all parties' inner products; of two parties, the other's",
    ms.Predictor: "nothing: encrypted",
    ms.Residual: "nothing: encrypted, under fresh randomness of the guest",
    ms.MaskedGradient: "arbiter: nothing: masks are uniform modulo n",
    ms.OpenedGradient: "its owner: as many sums over all rows as it has columns, and one",
    ms.Vote: "arbiter: one bit of each party",
    ms.Verdict: "guest, hosts: whether all voted to stop",
    ms.Curvature: "nothing: encrypted, under fresh randomness of the guest",
    ms.WeighedColumn: "the other: how many columns, which it knows, and the largest value in them; encrypted, under fresh randomness",
    ms.ColumnMoments: "arbiter: second moments of unnamed columns, all rows and weighted ones; which columns are one feature; the penalty",
    ms.CrossMoments: "arbiter: second moments of unnamed columns of both parties",
    ms.StandardErrors: "its owner: three numbers a column; never sums of its own columns over single rows",
    ms.ScoreShare: "arbiter: the party's scores of unnamed customers in a secret order; hardened: normalised, patent: probabilities",
    ms.ThresholdChoice: "arbiter: the share to flag, or τ",
    ms.CombinedScores: "guest: F, or u′ + Σu″, of every customer, and from its own part the host's",
    ms.ScoreLabels: "recipients: who is above τ; τ in the patent profile, and where they see scores or choose it",
    ms.ScaleSeed: "hosts: scale and shift of the joint score; the arbiter never sees them",
    ms.JointShare: "arbiter: of all parties' together one number a customer, factor·(u′ + Σu″) + shift, in a secret order",
    ms.Transcripts: "arbiter: whether every two parties saw the same messages",
    ms.TranscriptsEqual: "guest, hosts: the same",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A kind of message, and the directed links on which it is legal."""

    kind: steps.Kind
    links: tuple[Link, ...]

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.kind.__name__

    @property
    def content(self) -> str:
        """What it carries: the first sentence of its docstring, without who sends it."""
        sentence = " ".join((self.kind.__doc__ or "").split("\n\n")[0].split()).rstrip(".")
        content = sentence.split(": ", 1)[1]
        return content.replace("`Request` of the intersection", "blinded ids") \
            .replace("`Reply` of the intersection", "those ids blinded twice; its own, blinded once") \
            .replace("`Common` of the intersection", "places of the common ids; commitment to their order")  # fmt: skip

    @property
    def condition(self) -> str:
        """When it is sent; empty: always."""
        return WHEN.get(self.kind, "")


def sequence(profile: str) -> list[Step]:
    """Return every kind of message of a profile, each once, in an order that every link's table allows."""
    links = _links()
    waiting = [kind for kind in _kinds() if profile == "patent" or WHEN.get(kind) != "profile patent"]
    made: list[Step] = []
    phase = PHASES[0]
    while waiting:
        free = [kind for kind in waiting if not any(_before(other, kind) for other in waiting if other is not kind)]
        here = [kind for kind in free if kind.phase == phase] or free
        chosen = min(here, key=lambda kind: (PHASES.index(kind.phase), kind.kind))
        allowed = [link for link in links[chosen] if profile == "patent" or (link, chosen) not in ONLY_PATENT]
        made.append(Step(chosen, tuple(allowed)))
        waiting.remove(chosen)
        phase = chosen.phase
    return made


def _kinds() -> list[steps.Kind]:
    ours = [kind for kind in vars(matching).values() if isinstance(kind, type) and issubclass(kind, ms.Message) and kind.phase == "match"]
    return [*ours, *ms.KINDS.values()]


def _links() -> dict[steps.Kind, list[Link]]:
    found: dict[steps.Kind, list[Link]] = {}
    for table in (matching.TABLE, steps.TABLE):
        for link, followers in table.items():
            for kind in {follower for kinds in followers.values() for follower in kinds}:
                found.setdefault(kind, []).append(link)
    return found


def _before(first: steps.Kind, second: steps.Kind) -> bool:
    """Whether one kind comes before another on some link, or in a phase that a link does not know of."""
    if (first.phase == "match") != (second.phase == "match"):
        return first.phase == "match"
    if (first, second) in ALSO or (second, first) in ALSO:
        return (first, second) in ALSO
    one, other = _reaches(first, second), _reaches(second, first)
    return one and (not other or first.kind < second.kind)


def _reaches(first: steps.Kind, second: steps.Kind) -> bool:
    """Whether some link's table leads from one kind to another."""
    for followers in steps.TABLE.values():
        seen: set[steps.Kind | str] = set()
        ahead: list[steps.Kind] = list(followers.get(first, ()))
        while ahead:
            kind = ahead.pop()
            if kind is second:
                return True
            if kind not in seen:
                seen.add(kind)
                ahead += followers.get(kind, ())
    return False


# --- the diagram -------------------------------------------------------------------------------------------------

WIDTH, LEFT, TEXT_CHARACTERS = 980, 24, 78
PLACES = {"guest": 620, "host": 770, "arbiter": 920}
ROW, BAND, TOP = 40, 34, 76


def diagram(profile: str) -> str:
    """Return the sequence of a profile's messages as SVG."""
    made, parts, bands = sequence(profile), [], {}
    y, phase = TOP, ""
    for step in made:
        if step.kind.phase != phase:
            phase = step.kind.phase
            title = f"{phase} again" if phase in bands else phase
            parts += [svg.path([(LEFT, y), (WIDTH - LEFT, y)], "line"), svg.text(LEFT, y + 21, TITLES[title], "strong a")]
            bands[phase] = y
            y += BAND
        parts += _row(step, y)
        y += ROW
    first, end = bands[EVERY_ROUND[0]], bands["inference"]
    ground = [svg.box(LEFT - 12, first, WIDTH - 2 * LEFT + 24, end - first)]
    ground += [svg.text(PLACES["guest"] - 60, first + 21, "every round", "small b", "end")]
    title = f"Messages of the protocol, profile {profile}"
    head = [svg.text(LEFT, 34, title, "large strong"), svg.text(LEFT, 56, "dashed: only in sessions with that setting", "small soft")]
    for role, x in PLACES.items():
        head += [svg.box(x - 46, 24, 92, 32), svg.text(x, 45, role, "strong", "middle"), svg.path([(x, 56), (x, y)], "line")]
    described = "; ".join(f"{step.name}: {arrows(step)}" for step in made)
    return svg.page(WIDTH, y + 16, title, described, ground + head + parts)


def arrows(step: Step) -> str:
    """Return the links of a step as text, both directions of one as ↔."""
    shown = []
    for sender, recipient in step.links:
        if (recipient, sender) not in step.links:
            shown.append(f"{sender} → {recipient}")
        elif sender <= recipient:
            shown.append(f"{sender} ↔ {recipient}")
    return ", ".join(shown)


def _row(step: Step, y: float) -> list[str]:
    content = textwrap.wrap(step.content, TEXT_CHARACTERS)
    parts = [svg.text(LEFT + 12, y + 12, step.name, "strong"), svg.text(LEFT + 12, y + 28, content[0], "small soft")]
    if len(content) > 1:
        parts[-1] = svg.text(LEFT + 12, y + 28, content[0] + " …", "small soft")
    if step.condition:
        parts.append(svg.text(PLACES["guest"] - 60, y + 12, step.condition, "small b", "end"))
    css = "dashed" if step.condition and not step.condition.startswith("profile") else ""
    for k, (sender, recipient, both) in enumerate(_drawn(step)):
        height = y + 9 + 9 * k
        inset = 3 if PLACES[recipient] > PLACES[sender] else -3
        parts.append(svg.arrow([(PLACES[sender] + inset, height), (PLACES[recipient] - inset, height)], css, both=both))
    return parts


def _drawn(step: Step) -> Iterator[tuple[str, str, bool]]:
    for sender, recipient in step.links:
        both = (recipient, sender) in step.links
        if sender != recipient and (not both or PLACES[sender] < PLACES[recipient]):
            yield sender, recipient, both


# --- the table ---------------------------------------------------------------------------------------------------


def table() -> str:
    """Return every message, who sends it to whom, when, and what its receiver learns, as Markdown."""
    lines = ["| message | from → to | when | carries | who learns what |", "|---|---|---|---|---|"]
    for step in sequence("patent"):
        usual = "every round" if step.kind.phase in EVERY_ROUND else ""
        when = "; ".join(filter(None, [step.condition or usual, *(text for (_, kind), text in ONLY_PATENT.items() if kind is step.kind)]))
        lines.append(f"| `{step.name}` | {arrows(step)} | {when or 'always'} | {step.content} | {LEARNS[step.kind]} |")
    return "\n".join(lines)
