"""Runs a state machine of Amazon States Language with JSONPath, as far as fleet.yaml uses it, with tasks given as functions.

Time is made up: a wait moves the clock on, and what a test has planned for a moment happens then. The limits are those of
Step Functions: the events of an execution's history, and the bytes between two states.
"""

import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# Step Functions developer guide, "Service quotas".
MOST_EVENTS, MOST_BYTES = 25_000, 262_144
# What a state writes into the history: it is entered and left; a task is scheduled, started and has succeeded too.
EVENTS = {"Task": 5, "Map": 4, "Fail": 1}


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
    now: datetime = datetime(2026, 11, 30, 3, tzinfo=UTC)
    waited: int = 0
    at_once: list = field(default_factory=list)
    entered: list = field(default_factory=list)
    planned: list = field(default_factory=list)
    tokens: dict = field(default_factory=dict)
    numbers: itertools.count = field(default_factory=itertools.count)

    def run(self, value=None):
        context = {"StateMachine": {"Id": "machine"}, "Execution": self.execution("execution"), "Events": [0]}
        return self.states(self.definition, value or {}, context)

    def execution(self, name):
        return {"Name": name, "Id": f"arn:{name}", "StartTime": stamp(self.now)}

    def plan(self, seconds, action):
        """Has a function called so many seconds from now."""
        self.planned.append((self.now + timedelta(seconds=seconds), action))

    def answer(self, token, result):
        """SendTaskSuccess with a value, or SendTaskFailure with a `Failed`."""
        if token not in self.tokens:
            raise Failed("InvalidToken", token)
        if self.tokens[token] is not None:
            raise Failed("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        self.tokens[token] = (result,)

    def sleep(self, seconds, until=lambda: False):
        """Moves the clock on, by less where `until` comes true, which it returns."""
        end = self.now + timedelta(seconds=seconds)
        while not until():
            at = min((at for at, _ in self.planned if at <= end), default=end)
            self.waited += int((at - self.now).total_seconds())
            self.now = at
            actions = [action for moment, action in self.planned if moment <= at]
            self.planned = [(moment, action) for moment, action in self.planned if moment > at]
            for action in actions:
                action()
            if at == end and not actions:
                break
        return until()

    def states(self, machine, value, context):
        name = machine["StartAt"]
        while True:
            state = machine["States"][name]
            self.entered.append(name)
            context["Events"][0] += EVENTS.get(state["Type"], 2)
            if context["Events"][0] > MOST_EVENTS:
                raise Failed("States.Runtime", "the history is full")
            inner = context | {"State": {"Name": name, "EnteredTime": stamp(self.now)}}
            value, following = self.step(state, value, inner)
            if len(json.dumps(value)) > MOST_BYTES:
                raise Failed("States.DataLimitExceeded", name)
            if following is None:
                return value
            name = following

    def step(self, state, value, context):
        act = getattr(self, state["Type"].lower())
        attempts = {}
        while True:
            try:
                return act(state, value, context)
            except Failed as failed:
                index, retry = first(state.get("Retry", []), failed)
                if retry and attempts.get(index, 0) < retry["MaxAttempts"]:
                    self.sleep(retry["IntervalSeconds"] * retry.get("BackoffRate", 2) ** attempts.get(index, 0))
                    attempts[index] = attempts.get(index, 0) + 1
                    continue
                _, catch = first(state.get("Catch", []), failed)
                if not catch:
                    raise
                error = {"Error": failed.error, "Cause": failed.cause}
                return place(value, catch["ResultPath"], error), catch["Next"]

    def put(self, state, value, result):
        # What a step writes is JSON again.
        return place(value, state.get("ResultPath", "$"), json.loads(json.dumps(result))), state.get("Next")

    def succeed(self, _, value, __):
        return value, None

    def fail(self, state, value, context):
        cause = work_out(state["CausePath"], value, context) if "CausePath" in state else state.get("Cause", "")
        assert len(cause) <= 32_768
        raise Failed(state["Error"], cause)

    def wait(self, state, value, _):
        self.sleep(state["Seconds"])
        return value, state["Next"]

    def __getattr__(self, name):
        if name == "pass":
            return self.pass_on
        raise AttributeError(name)

    def pass_on(self, state, value, context):
        result = state["Result"] if "Result" in state else template(state["Parameters"], value, context)
        return self.put(state, value, result)

    def task(self, state, value, context):
        resource = state["Resource"].rsplit(":", 1)[1]
        waits = resource.endswith(".waitForTaskToken")
        if waits:
            token = f"token-{next(self.numbers)}"
            self.tokens[token] = None
            context = context | {"Task": {"Token": token}}
        parameters = template(state.get("Parameters", {}), value, context)
        credentials = template(state.get("Credentials", {}), value, context)
        result = self.tasks[resource](parameters, credentials.get("RoleArn"))
        if waits:
            result = self.answered(token, work_out(state["TimeoutSecondsPath"], value, context))
        if "ResultSelector" in state:
            result = template(state["ResultSelector"], result, context)
        return self.put(state, value, result)

    def answered(self, token, seconds):
        assert isinstance(seconds, int)
        if not self.sleep(seconds, lambda: self.tokens[token] is not None):
            self.tokens[token] = (Failed("States.Timeout"),)
        (result,) = self.tokens[token]
        if isinstance(result, Failed):
            raise result
        return result

    def choice(self, state, value, context):
        for rule in state["Choices"]:
            if holds(rule, value, context):
                return value, rule["Next"]
        return value, state["Default"]

    def map(self, state, value, context):
        items = work_out(state["ItemsPath"], value, context)
        assert isinstance(items, list)
        most = state.get("MaxConcurrency")
        if "MaxConcurrencyPath" in state:
            most = work_out(state["MaxConcurrencyPath"], value, context)
        self.at_once.append((state.get("Comment", ""), most, type(most)))
        distributed = state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        results = []
        for index, item in enumerate(items):
            inner = context | {"Map": {"Item": {"Index": index, "Value": item}}}
            given = json.loads(json.dumps(template(state["ItemSelector"], value, inner)))
            if distributed:
                inner |= {"Execution": self.execution(f"child-{next(self.numbers)}"), "Events": [0]}
            try:
                results.append(self.states(state["ItemProcessor"], given, inner))
            except Failed as failed:
                if distributed:
                    raise Failed("States.ExceedToleratedFailureThreshold", str(failed)) from failed
                raise
        return self.put(state, value, results)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def first(rules, failed):
    """The first rule that names an error. States.ALL stands alone, and is the last."""
    for index, rule in enumerate(rules):
        names = rule["ErrorEquals"]
        if "States.ALL" in names:
            assert (len(names), index) == (1, len(rules) - 1)
        if failed.error in names or "States.ALL" in names:
            return index, rule
    return None, None


def place(value, path, result):
    if path == "$":
        return result
    name = path.removeprefix("$.")
    assert re.fullmatch(r"\w+", name)
    return value | {name: result}


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
    match = re.fullmatch(r"States\.(\w+)\((.*)\)", text, re.S)
    if not match:
        return look(text, value, context)
    arguments = [argument(part, value, context) for part in split(match[2])]
    match match[1], arguments:
        case "StringSplit", [string, separator]:
            return string.split(separator)
        case "StringToJson", [str(string)]:
            return json.loads(string)
        case "JsonToString", [item]:
            return json.dumps(item, separators=(",", ":"))
        case "Format", [pattern, *rest]:
            return put_together(pattern, rest)
        case "Array", items:
            return items
        case "ArrayGetItem", [list(items), int(index)] if 0 <= index < len(items):
            return items[index]
        case "ArrayLength", [list(items)]:
            return len(items)
        case "ArrayContains", [list(items), wanted]:
            return wanted in items
        case "ArrayPartition", [list(items), int(size)] if size > 0:
            return [items[start : start + size] for start in range(0, len(items), size)]
        case "MathAdd", [int(one), int(other)]:
            return one + other
    raise Failed("States.IntrinsicFailure", text)


def put_together(pattern, values):
    """`{}` takes the next value, and a backslash keeps what follows it."""

    def one(part):
        if part[0].startswith("\\"):
            return part[0][1]
        value = values.pop(0)
        return value if isinstance(value, str) else json.dumps(value)

    assert not re.search(r"(?<!\\)\{(?!\})", pattern), pattern
    done = re.sub(r"\\[{}'\\]|\{\}", one, pattern)
    assert not values, pattern
    return done


def split(text):
    parts, depth, quoted, part = [], 0, False, ""
    for char in text:
        if char == "'" and not part.endswith("\\"):
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
    return int(text) if re.fullmatch(r"-?\d+", text) else work_out(text, value, context)


MISSING = object()


def everywhere(item, name):
    """The values of all keys of this name, at any depth."""
    if isinstance(item, dict):
        found = [item[name]] if name in item else []
        return found + [one for inner in item.values() for one in everywhere(inner, name)]
    return [one for inner in item for one in everywhere(inner, name)] if isinstance(item, list) else []


def look(path, value, context, default=None):
    """A path; with `[*]`, a filter or `..` it gives a list. What such a path begins with must be there."""
    assert path.startswith("$"), path
    if path.startswith("$$"):
        value, path = context, path[1:]
    found, many = [value], False
    steps = re.findall(r"\.\.(\w+)|\.(\w+)|\[([^\]]+)\]", path[1:])
    assert (
        "".join(f"..{deep}" if deep else f".{name}" if name else f"[{index}]" for deep, name, index in steps)
        == path[1:]
    )
    for deep, name, index in steps:
        after = []
        for item in found:
            if deep:
                after += everywhere(item, deep)
            elif name:
                after += [item[name]] if isinstance(item, dict) and name in item else []
            elif index == "*":
                after += item
            elif index.startswith("?"):
                wanted = re.fullmatch(r"\?\(@\.(\w+) == (\w+)\)", index)
                after += [one for one in item if one.get(wanted[1]) == json.loads(wanted[2])]
            else:
                after += item[int(index) : int(index) + 1]
        if not after and not many and not deep and (name or index.isdigit()):
            if default is not None:
                return default
            raise Failed("States.Runtime", f"no {path}")
        many |= bool(deep or index) and not index.isdigit()
        found = after
    return found if many else found[0]


def holds(rule, value, context):
    if "Not" in rule:
        return not holds(rule["Not"], value, context)
    if "And" in rule:
        return all(holds(one, value, context) for one in rule["And"])
    if "Or" in rule:
        return any(holds(one, value, context) for one in rule["Or"])
    (operator,) = set(rule) - {"Variable", "Next"}
    found = look(rule["Variable"], value, context, MISSING)
    if operator == "IsPresent":
        return (found is not MISSING) == rule["IsPresent"]
    if found is MISSING:
        raise Failed("States.Runtime", f"no {rule['Variable']}")
    wanted = rule[operator]
    if operator.endswith("Path"):
        wanted, operator = look(wanted, value, context), operator.removesuffix("Path")
    kind, compare = re.fullmatch(r"(String|Numeric|Boolean|Timestamp)(\w+)", operator).groups()
    kinds = {"String": str, "Numeric": int, "Boolean": bool, "Timestamp": str}
    assert type(wanted) is kinds[kind], (rule, wanted)
    if type(found) is not kinds[kind]:
        return False
    if kind == "Timestamp":
        found, wanted = datetime.fromisoformat(found), datetime.fromisoformat(wanted)
    match compare:
        case "Equals":
            return found == wanted
        case "GreaterThan":
            return found > wanted
        case "GreaterThanEquals":
            return found >= wanted
        case "LessThan":
            return found < wanted
    raise AssertionError(operator)
