"""The table of legal messages: for every directed link, which kind may follow which. The only protocol state.

One *lane* per direction of a link; `START` opens it. Messages of a round carry the round's number, all others carry 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ProtocolError
from .messages import (
    ClassEvidence,
    ClassSums,
    ColumnMoments,
    CombinedScores,
    CrossMoments,
    Curvature,
    EncryptedLabels,
    HalfRange,
    Hello,
    InnerProducts,
    JointShare,
    KeyAnnouncement,
    MaskedGradient,
    MaskedSums,
    MaskSeed,
    Message,
    OpenedGradient,
    OpenedSums,
    OrderSeed,
    PenaltyChoice,
    Predictor,
    Quota,
    Residual,
    RowCommitment,
    ScaleSeed,
    ScoreLabels,
    ScoreShare,
    StandardErrors,
    SumsQuota,
    ThresholdChoice,
    TrainingLabels,
    Transcripts,
    TranscriptsEqual,
    Verdict,
    Vote,
    WeighedColumn,
)

START = "start"
Kind = type[Message]
Table = Mapping[tuple[str, str], Mapping[Kind | str, tuple[Kind, ...]]]

AFTER_ROUNDS: tuple[Kind, ...] = (ColumnMoments, ScoreShare, JointShare)

# (from, to): {last kind: kinds that may follow}
TABLE: dict[tuple[str, str], dict[Kind | str, tuple[Kind, ...]]] = {
    ("guest", "host"): {
        START: (Hello,),
        Hello: (RowCommitment,),
        RowCommitment: (OrderSeed,),
        OrderSeed: (TrainingLabels, Residual, EncryptedLabels, MaskSeed, HalfRange),
        EncryptedLabels: (ClassEvidence,),
        ClassEvidence: (TrainingLabels, Residual, MaskSeed, HalfRange),
        TrainingLabels: (Residual, MaskSeed, HalfRange),
        MaskSeed: (Residual, HalfRange, ScaleSeed),
        HalfRange: (Residual, Curvature),
        Curvature: (Curvature, WeighedColumn, ScaleSeed),
        WeighedColumn: (WeighedColumn, ScaleSeed),
        Residual: (Residual, PenaltyChoice, InnerProducts, HalfRange, ScaleSeed),
        PenaltyChoice: (InnerProducts, HalfRange),
        InnerProducts: (InnerProducts, Residual, HalfRange, ScaleSeed),
        ScaleSeed: (),
    },
    ("host", "guest"): {
        START: (Hello,),
        Hello: (RowCommitment,),
        RowCommitment: (Predictor, HalfRange, ClassSums),
        ClassSums: (Predictor, HalfRange),
        HalfRange: (Predictor, InnerProducts, HalfRange),  # of several hosts the last one sends the columns
        Predictor: (Predictor, HalfRange, InnerProducts, WeighedColumn),
        InnerProducts: (InnerProducts, Predictor, HalfRange),
        WeighedColumn: (WeighedColumn,),
    },
    ("guest", "arbiter"): {
        START: (Hello,),
        Hello: (Quota, ScoreShare, JointShare, MaskedSums),
        MaskedSums: (MaskedSums, Quota),
        Quota: (MaskedGradient, *AFTER_ROUNDS),  # at once: a run that goes on after its last round
        MaskedGradient: (Vote,),
        Vote: (MaskedGradient, *AFTER_ROUNDS),
        ColumnMoments: (CrossMoments, ScoreShare, JointShare),
        CrossMoments: (ScoreShare, JointShare),
        ScoreShare: (ThresholdChoice, JointShare, Transcripts),
        JointShare: (ThresholdChoice, Transcripts),
        ThresholdChoice: (Transcripts,),
        Transcripts: (),
    },
    ("host", "arbiter"): {
        START: (Hello,),
        Hello: (Quota, ScoreShare, JointShare, SumsQuota),
        SumsQuota: (Quota,),
        Quota: (MaskedGradient, *AFTER_ROUNDS),  # at once: a run that goes on after its last round
        MaskedGradient: (Vote,),
        Vote: (MaskedGradient, *AFTER_ROUNDS),
        ColumnMoments: (CrossMoments, ScoreShare, JointShare),
        CrossMoments: (ScoreShare, JointShare),
        ScoreShare: (JointShare, Transcripts),
        JointShare: (Transcripts,),
        Transcripts: (),
    },
    ("arbiter", "guest"): {
        START: (Hello,),
        Hello: (KeyAnnouncement,),
        KeyAnnouncement: (OpenedGradient, StandardErrors, CombinedScores, ScoreLabels, OpenedSums),
        OpenedSums: (OpenedSums, OpenedGradient, StandardErrors, CombinedScores, ScoreLabels),
        OpenedGradient: (Verdict,),
        Verdict: (OpenedGradient, StandardErrors, CombinedScores, ScoreLabels),
        StandardErrors: (CombinedScores, ScoreLabels),
        CombinedScores: (ScoreLabels, TranscriptsEqual),
        ScoreLabels: (CombinedScores, TranscriptsEqual),
        TranscriptsEqual: (),
    },
    ("arbiter", "host"): {
        START: (Hello,),
        Hello: (KeyAnnouncement,),
        KeyAnnouncement: (OpenedGradient, StandardErrors, ScoreLabels, TranscriptsEqual),
        OpenedGradient: (Verdict,),
        Verdict: (OpenedGradient, StandardErrors, ScoreLabels, TranscriptsEqual),
        StandardErrors: (ScoreLabels, TranscriptsEqual),
        ScoreLabels: (TranscriptsEqual,),
        TranscriptsEqual: (),
    },
    ("host", "host"): {
        START: (Hello,),
        Hello: (MaskSeed, InnerProducts, HalfRange),
        MaskSeed: (InnerProducts, HalfRange),
        HalfRange: (Predictor, InnerProducts, HalfRange),
        Predictor: (Predictor, InnerProducts, HalfRange),
        InnerProducts: (InnerProducts, HalfRange),
    },
}

ROUND_KINDS = (HalfRange, Predictor, Residual, MaskedGradient, OpenedGradient, PenaltyChoice, InnerProducts, Vote, Verdict)


def role_of(party: str) -> str:
    """Return the role of a party: host1, host2, … and the mart are hosts."""
    return "host" if party.startswith("host") or party == "mart" else party


class Lane:
    """One direction of a link, as one of its ends sees it."""

    def __init__(self, sender: str, recipient: str, table: Table = TABLE) -> None:
        self.sender, self.recipient = sender, recipient
        self._legal = table.get((role_of(sender), role_of(recipient)), {})
        self._last: Kind | str = START

    def advance(self, kind: Kind) -> None:
        """Take the step `kind`, or raise ProtocolError against the sender."""
        allowed = self._legal.get(self._last, ())
        if kind not in allowed:
            names = ", ".join(k.__name__ for k in allowed) or "nothing more"
            raise ProtocolError(self.sender, kind.__name__, f"is not legal here; {self.recipient} expects {names}")
        self._last = kind
