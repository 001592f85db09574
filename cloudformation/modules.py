"""Writes what the Terraform module and the CDK construct have of the template: its parameters as inputs, and its outputs.

generate.py calls it, so that neither is ever behind ecs-updater.yaml. The rest of both is written by hand.
"""

import json
import re

NOTE = "Made by generate.py from ecs-updater.yaml"
# A count of repetitions, which Go's regular expressions limit to 1,000, nested ones multiplied.
COUNTED = re.compile(r"\{(\d+)(,(\d*))?\}")


def is_list(spec):
    return spec["Type"] == "CommaDelimitedList" or spec["Type"].startswith("List<")


def snake(name):
    """ClusterNames becomes cluster_names."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel(name):
    """ClusterNames becomes clusterNames."""
    return name[0].lower() + name[1:]


def hcl(text):
    """A string as HCL writes it."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


# --- Terraform


def relaxed(pattern):
    """The pattern without counts where they are nested deeper than Go takes; CloudFormation still counts."""
    if not re.search(r"\{\d+,?\d*\}[^{}]*\)\{\d", pattern):
        return pattern
    return COUNTED.sub(lambda count: "*" if count[1] == "0" else "+", pattern)


def matches(pattern, value):
    """Whether a value fits the template's pattern, in Terraform, whose regular expressions look neither ahead nor behind."""
    refused = re.match(r"\^\(\?!(.*?)\)(?=[^|)])", pattern)
    if refused:
        rest = f"^{pattern[refused.end() :]}"
        return f"{matches(rest, value)} && !can(regex({hcl(f'^({refused[1]})')}, {value}))"
    return f"can(regex({hcl(relaxed(pattern))}, {value}))"


def conditions(name, spec):
    """What Terraform checks of a variable, each with the words of its refusal."""
    value = f"var.{snake(name)}"
    if "AllowedValues" in spec:
        values = [str(item) for item in spec["AllowedValues"]]
        listed = ", ".join(values if spec["Type"] == "Number" else map(hcl, values))
        shown = ", ".join(item or "empty" for item in values)
        yield f"contains([{listed}], {value})", f"must be one of {shown}"
    if "AllowedPattern" in spec:
        if is_list(spec):
            some = "" if "Default" in spec else f"length({value}) > 0 && "
            test = f"{some}alltrue([for item in {value} : {matches(spec['AllowedPattern'], 'item')}])"
        else:
            test = matches(spec["AllowedPattern"], value)
        yield test, spec["ConstraintDescription"]
    elif is_list(spec):
        yield f"length({value}) > 0", "must have an item"
    if "MaxValue" in spec:
        low, high = spec["MinValue"], spec["MaxValue"]
        test = f"{value} >= {low} && {value} <= {high} && floor({value}) == {value}"
        yield test, f"must be a whole number from {low} to {high}"


def variable(name, spec):
    kind = "list(string)" if is_list(spec) else {"Number": "number"}.get(spec["Type"], "string")
    lines = [f'variable "{snake(name)}" {{', f"  description = {hcl(spec['Description'])}", f"  type        = {kind}"]
    if "Default" in spec:
        default = spec["Default"] if spec["Type"] == "Number" else hcl(str(spec["Default"]))
        if is_list(spec):
            default = json.dumps([item for item in spec["Default"].split(",") if item])
        lines.append(f"  default     = {default}")
    lines.append("  nullable    = false")
    for test, says in conditions(name, spec):
        lines += [
            "",
            "  validation {",
            f"    condition     = {test}",
            f"    error_message = {hcl(f'{snake(name)} {says}.')}",
            "  }",
        ]
    return "\n".join([*lines, "}\n"])


def terraform(tree):
    """The files of the Terraform module that are made, by name."""
    values = []
    width = max(map(len, tree["Parameters"]))
    for name, spec in tree["Parameters"].items():
        value = f"var.{snake(name)}"
        if is_list(spec):
            value = f'join(",", {value})'
        elif spec["Type"] == "Number":
            value = f"tostring({value})"
        values.append(f"    {name:<{width}} = {value}")
    outputs = [
        f'output "{snake(name)}" {{\n  description = {hcl(spec["Description"])}\n'
        f"  value       = aws_cloudformation_stack.this.outputs[{hcl(name)}]\n}}\n"
        for name, spec in tree["Outputs"].items()
    ]
    variables = [variable(name, spec) for name, spec in tree["Parameters"].items()]
    return {
        "variables.tf": f"# {NOTE}: its parameters.\n\n" + "\n".join(variables),
        "outputs.tf": f"# {NOTE}: its outputs.\n\n" + "\n".join(outputs),
        "parameters.tf": "\n".join(
            [f"# {NOTE}: each variable's parameter.", "", "locals {", "  parameters = {", *values, "  }", "}", ""]
        ),
    }


# --- CDK


def typescript(text):
    """A string as TypeScript writes it."""
    return json.dumps(text, ensure_ascii=False)


def property_type(spec):
    if is_list(spec):
        return "string[]"
    if spec["Type"] == "Number":
        return " | ".join(map(str, spec["AllowedValues"])) if "AllowedValues" in spec else "number"
    return " | ".join(map(typescript, spec["AllowedValues"])) if "AllowedValues" in spec else "string"


def limits(spec):
    """What CloudFormation checks of a parameter, as an object of TypeScript."""
    parts = [f"list: {str(is_list(spec)).lower()}"]
    if "AllowedPattern" in spec:
        parts += [
            f"pattern: {typescript(spec['AllowedPattern'])}",
            f"says: {typescript(spec['ConstraintDescription'])}",
        ]
    if "AllowedValues" in spec:
        values = ", ".join(typescript(str(item)) for item in spec["AllowedValues"])
        parts.append(f"values: [{values}]")
    if "MaxValue" in spec:
        parts.append(f"min: {spec['MinValue']}, max: {spec['MaxValue']}")
    return f"{{ {', '.join(parts)} }}"


def cdk(tree):
    """The file of the CDK construct that is made, by name."""
    lines = [f"// {NOTE}: its parameters and outputs.", "", "/** The parameters of the stack. */"]
    lines.append("export interface EcsUpdaterParameters {")
    for name, spec in tree["Parameters"].items():
        default = "" if "Default" not in spec else f"\n   *\n   * @default {typescript(spec['Default'])}"
        optional = "?" if "Default" in spec else ""
        # A comment must not end early.
        text = spec["Description"].replace("*/", "*\u200b/") + default.replace("*/", "*\u200b/")
        lines += [f"  /** {text}\n   */" if default else f"  /** {text} */"]
        lines.append(f"  readonly {camel(name)}{optional}: {property_type(spec)};")
    lines += ["}", "", "/** The outputs of the stack. */", "export interface EcsUpdaterOutputs {"]
    for name, spec in tree["Outputs"].items():
        lines += [f"  /** {spec['Description']} */", f"  readonly {camel(name)}: string;"]
    lines += ["}", "", "/** What a parameter takes. */", "export interface Limits {", "  readonly list: boolean;"]
    lines += ["  readonly pattern?: string;", "  readonly says?: string;", "  readonly values?: readonly string[];"]
    lines += ["  readonly min?: number;", "  readonly max?: number;", "}", ""]
    lines.append("export const PARAMETERS: Readonly<Record<keyof EcsUpdaterParameters, Limits>> = {")
    lines += [f"  {camel(name)}: {limits(spec)}," for name, spec in tree["Parameters"].items()]
    lines += ["};", "", "export const OUTPUTS: readonly (keyof EcsUpdaterOutputs)[] = ["]
    lines += [f"  {typescript(camel(name))}," for name in tree["Outputs"]]
    return {"lib/interface.ts": "\n".join([*lines, "];", ""])}
