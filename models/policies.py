"""Policies as data: files of named, versioned policies, checked and read."""

from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.exceptions import PolicyError
from models.policy import Advice, Combination, Live, LiveAction, Part, Policy
from schemas.verdict import Axis, RecommendedAction, RiskLevel

OWN_POLICIES = Path(__file__).parent / "policies.yaml"

Probability = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Milder = Literal[RecommendedAction.ALLOW, RecommendedAction.REVIEW]
Role = Literal["screen", "primary", "synthetic", "liveness"]

_LEFT_OUT = Policy("left-out", 1)
"""What a policy says by leaving something out."""
_SEVERITY = tuple(RecommendedAction)
_RISKS = tuple(RiskLevel)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Calibrated(_Frozen):
    """See `Combination.CALIBRATED`."""

    kind: Literal[Combination.CALIBRATED]
    learnt: bool = True


class _Weighted(_Frozen):
    """See `Combination.WEIGHTED`."""

    kind: Literal[Combination.WEIGHTED]
    parts: dict[Part, Weight]

    @field_validator("parts")
    @classmethod
    def _shares(cls, parts: dict[Part, float]) -> dict[Part, float]:
        if parts.get(Part.DETECTORS, 0.0) == 0.0:
            raise ValueError("detectors must have a weight: nothing else is known of every face")
        if abs(sum(parts.values()) - 1.0) > 1e-6:
            raise ValueError(f"the weights must sum to 1, they sum to {sum(parts.values()):g}")
        return parts


class _Risk(_Frozen):
    """Where bands of the score begin."""

    medium: Probability
    high: Probability
    critical: Probability

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        if not self.medium < self.high < self.critical:
            raise ValueError("medium, high and critical must ascend")
        return self


class _Advice(_Frozen):
    """See `models.policy.Advice`."""

    manipulation: dict[RiskLevel, RecommendedAction]
    synthetic: dict[RiskLevel, RecommendedAction]
    liveness: Milder
    inconclusive: Milder

    @field_validator("manipulation", "synthetic")
    @classmethod
    def _rises(cls, actions: dict[RiskLevel, RecommendedAction]) -> dict[RiskLevel, RecommendedAction]:
        missing = [risk for risk in _RISKS if risk not in actions]
        if missing:
            raise ValueError(f"says nothing of {', '.join(missing)} risk")
        for lower, higher in pairwise(_RISKS):
            if _SEVERITY.index(actions[higher]) < _SEVERITY.index(actions[lower]):
                raise ValueError(f"{actions[higher]} at {higher} risk is milder than {actions[lower]} at {lower} risk")
        return actions


class _Live(_Frozen):
    """See `models.policy.Live`."""

    action: LiveAction = _LEFT_OUT.live.action
    enter: Probability = _LEFT_OUT.live.enter
    exit: Probability = _LEFT_OUT.live.exit
    hold_s: Weight = _LEFT_OUT.live.hold_s
    cooldown_s: Weight = _LEFT_OUT.live.cooldown_s
    min_faces: Annotated[int, Field(ge=1)] = _LEFT_OUT.live.min_faces
    block_from: RiskLevel = _LEFT_OUT.live.block_from
    block_s: Annotated[float, Field(ge=1)] = _LEFT_OUT.live.block_s
    fail_closed: bool = _LEFT_OUT.live.fail_closed
    blur_faces: bool = _LEFT_OUT.live.blur_faces

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.exit > self.enter:
            raise ValueError(f"exit {self.exit:g} lies above enter, {self.enter:g}")
        return self


class _PolicySpec(_Frozen):
    """A policy as files have it: see `models.policy.Policy`. What is left out has the defaults there."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
    version: Annotated[int, Field(ge=1)]
    description: Annotated[str, Field(min_length=1)]
    combination: Annotated[_Calibrated | _Weighted, Field(discriminator="kind")]
    thresholds: dict[Axis, Probability] = {}
    target_false_positives: Probability | None = None
    role_weights: dict[Role, Annotated[float, Field(gt=0)]] = {}
    authentic_below: Share = _LEFT_OUT.authentic_below
    top_share: Annotated[float, Field(gt=0, le=1)] = _LEFT_OUT.top_share
    min_faces: Annotated[int, Field(ge=1)] = _LEFT_OUT.min_faces
    min_usable_share: Share = _LEFT_OUT.min_usable_share
    full_evidence_faces: Annotated[int, Field(ge=1)] = _LEFT_OUT.full_evidence_faces
    risk: _Risk | None = None
    advice: _Advice | None = None
    live: _Live = _Live()

    @model_validator(mode="after")
    def _thresholds_lie_above_the_band(self) -> Self:
        for axis in (Axis.MANIPULATION, Axis.SYNTHETIC):
            threshold = self.thresholds.get(axis)
            if threshold is not None and threshold < self.authentic_below:
                raise PolicyError(
                    self.name,
                    f"thresholds.{axis}",
                    f"{threshold:g} lies below authentic_below, {self.authentic_below:g}",
                )
        return self

    def policy(self) -> Policy:
        """Return it as decisions use it."""
        how = self.combination
        plain = {field.name for field in fields(Policy)} & type(self).model_fields.keys()
        values = {name: getattr(self, name) for name in plain - {"combination", "role_weights", "advice", "live"}}
        return Policy(
            **values,
            combination=how.kind,
            learnt=how.learnt if isinstance(how, _Calibrated) else False,
            parts=how.parts if isinstance(how, _Weighted) else _LEFT_OUT.parts,
            role_weights={
                **_LEFT_OUT.role_weights,
                **{str(role): weight for role, weight in self.role_weights.items()},
            },
            risk_bands=_LEFT_OUT.risk_bands if self.risk is None else _bands(self.risk),
            advice=_LEFT_OUT.advice if self.advice is None else _advice(self.advice),
            live=Live(**self.live.model_dump()),
        )


class _PolicyFile(_Frozen):
    policies: Annotated[tuple[_PolicySpec, ...], Field(min_length=1)]


def load_policies(path: Path = OWN_POLICIES) -> tuple[Policy, ...]:
    """Read a file of policies (YAML), in its order.

    Raises:
        PolicyError: naming the policy and the field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(str(path), "policies", f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(str(path), "policies", f"is not YAML: {error}") from error
    try:
        policies = tuple(spec.policy() for spec in _PolicyFile.model_validate(document).policies)
    except ValidationError as error:
        raise _named(error, document, path) from error
    return unique(policies)


def unique(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    """Return policies of which no two have the same name and version.

    Raises:
        PolicyError: two have.
    """
    seen: set[str] = set()
    for policy in policies:
        if policy.reference in seen:
            problem = f"{policy.version} exists already; what is changed needs a version of its own"
            raise PolicyError(policy.name, "version", problem)
        seen.add(policy.reference)
    return policies


def newest(policies: tuple[Policy, ...]) -> Mapping[str, Policy]:
    """Return the highest version of each name."""
    latest: dict[str, Policy] = {}
    for policy in sorted(policies, key=lambda policy: policy.version):
        latest[policy.name] = policy
    return latest


def _bands(risk: _Risk) -> tuple[tuple[float, RiskLevel], ...]:
    return (
        (risk.critical, RiskLevel.CRITICAL),
        (risk.high, RiskLevel.HIGH),
        (risk.medium, RiskLevel.MEDIUM),
        (0.0, RiskLevel.LOW),
    )


def _advice(advice: _Advice) -> Advice:
    return Advice(advice.manipulation, advice.synthetic, advice.liveness, advice.inconclusive)


def _named(error: ValidationError, document: object, path: Path) -> PolicyError:
    """Turn pydantic's first complaint into one that names the policy and the field."""
    first = error.errors(include_url=False)[0]
    where = list(first["loc"])
    name = path.name
    if where[:1] == ["policies"] and len(where) > 1 and isinstance(document, dict):
        raw = document["policies"][where[1]]
        name = str(raw.get("name", f"policy {where[1]}")) if isinstance(raw, dict) else f"policy {where[1]}"
        where = where[2:]
    field = ".".join(str(step) for step in where) or "policies"
    return PolicyError(name, field, first["msg"].removeprefix("Value error, "))
