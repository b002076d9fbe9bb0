"""The model as a PMML 4.4 Scorecard (dmg.org): its attributes are the classes, their partial scores what each adds to the logit."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

from .. import __version__
from ..errors import InputError
from .classes import ClassModel, Feature, FeatureClass, Interval

NAMESPACE = "http://www.dmg.org/PMML-4_4"
N_REASONS = 3
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_pmml(model: ClassModel) -> str:
    """Return PMML text whose outputs are ``logit`` u, ``probability`` σ(u) and the features that raise u most above their means ([0075]).

    Numbers and dates (as days before the observation date, [0086]) are doubles, categories strings; a missing cell is a missing value.

    Raises
    ------
    InputError
        A feature or a category level with a character that XML cannot hold.
    """
    root = ET.Element("PMML", xmlns=NAMESPACE, version="4.4")
    header = ET.SubElement(root, "Header", description=f"logit of {', '.join(model.parties)}, training run {model.session}")
    ET.SubElement(header, "Application", name="vflfast", version=__version__)
    fields = ET.SubElement(root, "DataDictionary", numberOfFields=str(len(model.features)))
    for feature in model.features:
        categorical = feature.kind == "categorical"
        ET.SubElement(
            fields, "DataField", name=_xml(feature.name, "features"),
            optype="categorical" if categorical else "continuous", dataType="string" if categorical else "double",
        )  # fmt: skip
    card = ET.SubElement(
        root, "Scorecard", modelName="vflfast", functionName="regression", initialScore=repr(model.intercept),
        useReasonCodes="true", reasonCodeAlgorithm="pointsAbove", baselineMethod="mean",
    )  # fmt: skip
    schema = ET.SubElement(card, "MiningSchema")
    for feature in model.features:
        ET.SubElement(schema, "MiningField", name=feature.name, usageType="active", invalidValueTreatment="asIs")
    _outputs(card, model)
    characteristics = ET.SubElement(card, "Characteristics")
    for feature in model.features:
        _characteristic(characteristics, feature)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _outputs(card: ET.Element, model: ClassModel) -> None:
    names = {feature.name for feature in model.features}
    logit, probability, reason = (_unused(name, names) for name in ("logit", "probability", "reason"))
    output = ET.SubElement(card, "Output")
    ET.SubElement(output, "OutputField", name=logit, feature="predictedValue", optype="continuous", dataType="double")
    for rank in range(1, min(N_REASONS, len(model.features)) + 1):
        ET.SubElement(
            output, "OutputField", name=f"{reason}_{rank}", feature="reasonCode", rank=str(rank), optype="categorical", dataType="string"
        )
    field = ET.SubElement(output, "OutputField", name=probability, feature="transformedValue", optype="continuous", dataType="double")
    # 1 / (1 + exp(−u))
    ratio = ET.SubElement(field, "Apply", function="/")
    ET.SubElement(ratio, "Constant", dataType="double").text = "1.0"
    total = ET.SubElement(ratio, "Apply", function="+")
    ET.SubElement(total, "Constant", dataType="double").text = "1.0"
    negated = ET.SubElement(ET.SubElement(total, "Apply", function="exp"), "Apply", function="*")
    ET.SubElement(negated, "Constant", dataType="double").text = "-1.0"
    ET.SubElement(negated, "FieldRef", field=logit)


def _characteristic(parent: ET.Element, feature: Feature) -> None:
    mean, name = repr(feature.mean), feature.name
    characteristic = ET.SubElement(parent, "Characteristic", name=name, reasonCode=name, baselineScore=mean)
    # the first attribute that holds counts: missing before anything, all the rest last
    for one in sorted(feature.classes, key=lambda one: (one.rest, not one.missing, one.code)):
        if one.missing:
            ET.SubElement(_attribute(characteristic, one), "SimplePredicate", field=name, operator="isMissing")
        for interval in one.intervals:
            _interval(_attribute(characteristic, one), name, interval)
        for level in one.levels:
            attribute = _attribute(characteristic, one)
            ET.SubElement(attribute, "SimplePredicate", field=name, operator="equal", value=_xml(level, f"level of {name}"))
        if one.rest:
            ET.SubElement(_attribute(characteristic, one), "True")


def _attribute(parent: ET.Element, one: FeatureClass) -> ET.Element:
    return ET.SubElement(parent, "Attribute", partialScore=repr(one.contribution))


def _interval(attribute: ET.Element, name: str, interval: Interval) -> None:
    bounds = []
    if interval.low > -math.inf:
        bounds.append(("greaterOrEqual" if interval.low_closed else "greaterThan", interval.low))
    if interval.high < math.inf:
        bounds.append(("lessOrEqual" if interval.high_closed else "lessThan", interval.high))
    if not bounds:
        ET.SubElement(attribute, "SimplePredicate", field=name, operator="isNotMissing")
        return
    parent = attribute if len(bounds) == 1 else ET.SubElement(attribute, "CompoundPredicate", booleanOperator="and")
    for operator, value in bounds:
        ET.SubElement(parent, "SimplePredicate", field=name, operator=operator, value=repr(value))


def _xml(text: str, what: str) -> str:
    if _NOT_XML.search(text):
        raise InputError(what, "holds a character that XML cannot hold")
    return text


def _unused(name: str, taken: set[str]) -> str:
    while name in taken or any(f"{name}_{rank}" in taken for rank in range(1, N_REASONS + 1)):
        name += "_"
    return name
