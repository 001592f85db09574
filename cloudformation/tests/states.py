"""Runs a state machine of Amazon States Language with JSONPath, as far as fleet.yaml uses it, with tasks given as functions."""

import json
import re
from dataclasses import dataclass, field


class Failed(Exception):
    """The execution ended in a Fail state or an error that nothing caught."""

    def __init__(self, error, cause=""):
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


@dataclass
class Machine:
    """`tasks` maps a resource's last part, such as `runTask`, to a function of parameters and credentials."""

    definition: dict
    tasks: dict
    waited: int = 0
    at_once: list = field(default_factory=list)

    def run(self, value=None):
        return self.states(self.definition, value or {}, {"Execution": {"Name": "execution"}})

    def states(self, machine, value, context):
        name = machine["StartAt"]
        while True:
            state = machine["States"][name]
            step = getattr(self, state["Type"].lower())
            try:
                value, following = step(state, value, context)
            except Failed as failed:
                for catch in state.get("Catch", []):
                    if catch["ErrorEquals"] == ["States.ALL"]:
                        value = place(value, catch["ResultPath"], {"Error": failed.error, "Cause": failed.cause})
                        following = catch["Next"]
                        break
                else:
                    raise
            if following is None:
                return value
            name = following

    def put(self, state, value, result):
        return place(value, state.get("ResultPath", "$"), result), state.get("Next")

    def succeed(self, _, value, __):
        return value, None

    def fail(self, state, value, context):
        cause = work_out(state["CausePath"], value, context) if "CausePath" in state else state.get("Cause", "")
        raise Failed(state["Error"], cause)

    def wait(self, state, value, _):
        self.waited += state["Seconds"]
        return value, state["Next"]

    def __getattr__(self, name):
        if name == "pass":
            return lambda state, value, context: self.put(state, value, template(state["Parameters"], value, context))
        raise AttributeError(name)

    def task(self, state, value, context):
        parameters = template(state.get("Parameters", {}), value, context)
        credentials = template(state.get("Credentials", {}), value, context)
        result = self.tasks[state["Resource"].rsplit(":", 1)[1]](parameters, credentials.get("RoleArn"))
        if "ResultSelector" in state:
            result = template(state["ResultSelector"], result, context)
        return self.put(state, value, result)

    def choice(self, state, value, context):
        for rule in state["Choices"]:
            if holds(rule, value, context):
                return value, rule["Next"]
        return value, state["Default"]

    def map(self, state, value, context):
        items = work_out(state["ItemsPath"], value, context)
        most = state.get("MaxConcurrency")
        if "MaxConcurrencyPath" in state:
            most = work_out(state["MaxConcurrencyPath"], value, context)
        self.at_once.append((state.get("Comment", ""), most, type(most)))
        results = []
        for index, item in enumerate(items):
            inner = context | {"Map": {"Item": {"Index": index, "Value": item}}}
            inner["Execution"] = {"Name": f"{context['Execution']['Name']}-{index}"}
            given = template(state["ItemSelector"], value, inner)
            # What a step writes is JSON again.
            results.append(self.states(state["ItemProcessor"], json.loads(json.dumps(given)), inner))
        return self.put(state, value, results)


def place(value, path, result):
    if path == "$":
        return result
    return value | {path.removeprefix("$."): result}


def template(given, value, context):
    if isinstance(given, list):
        return [template(item, value, context) for item in given]
    if not isinstance(given, dict):
        return given
    return {
        key.removesuffix(".$"): work_out(item, value, context) if key.endswith(".$") else template(item, value, context)
        for key, item in given.items()
    }


def work_out(text, value, context):
    if match := re.fullmatch(r"States\.(\w+)\((.*)\)", text, re.S):
        arguments = [argument(part, value, context) for part in split(match[2])]
        match match[1], arguments:
            case "StringSplit", [string, separator]:
                return string.split(separator)
            case "StringToJson", [string]:
                return json.loads(string)
            case "Format", [pattern, *rest]:
                return re.sub(r"\{\}", lambda _: str(rest.pop(0)), pattern)
            case "Array", items:
                return items
            case "ArrayGetItem", [items, index]:
                return items[index]
            case "ArrayLength", [items]:
                return len(items)
        raise AssertionError(f"intrinsic function {match[1]}")
    return look(text, value, context)


def split(text):
    parts, depth, quoted, part = [], 0, False, ""
    for char in text:
        if char == "'":
            quoted = not quoted
        depth += (char in "([") - (char in ")]") if not quoted else 0
        if char == "," and depth == 0 and not quoted:
            parts.append(part.strip())
            part = ""
        else:
            part += char
    return [*parts, part.strip()]


def argument(text, value, context):
    if text.startswith("'"):
        return text[1:-1]
    return int(text) if text.isdigit() else work_out(text, value, context)


MISSING = object()


def look(path, value, context, default=None):
    """A path; with `[*]` or a filter it gives a list."""
    if path.startswith("$$"):
        value, path = context, path[1:]
    found, many = [value], False
    for name, index in re.findall(r"\.(\w+)|\[([^\]]+)\]", path[1:]):
        after = []
        for item in found:
            if name:
                after += [item[name]] if isinstance(item, dict) and name in item else []
            elif index == "*":
                after += item
            elif index.startswith("?"):
                wanted = re.fullmatch(r"\?\(@\.(\w+) == (\w+)\)", index)
                after += [one for one in item if one.get(wanted[1]) == json.loads(wanted[2])]
            else:
                after += item[int(index) : int(index) + 1]
        many |= bool(index) and not index.isdigit()
        found = after
    if many:
        return found
    if found:
        return found[0]
    if default is not None:
        return default
    raise Failed("States.Runtime", f"no {path}")


def holds(rule, value, context):
    if "Not" in rule:
        return not holds(rule["Not"], value, context)
    found = look(rule["Variable"], value, context, MISSING)
    if "IsPresent" in rule:
        return (found is not MISSING) == rule["IsPresent"]
    wanted = rule.get("StringEquals", rule.get("NumericEquals"))
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
