//! Functions that are asked at each step: most say ok, some wait, say no, fail themselves or do not answer. It is drawn by
//! dice of its own, so that all else of a seed is as it would be without. All say ok once nothing disturbs any more.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{CALM, Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 20;
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111122223333:function:ready";
const STEPS: [&str; 6] =
    ["before_run", "before_drain", "before_reboot", "before_active", "after_instance", "after_run"];

pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "hooks", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let mut hooks = Table::new();
    let mut functions = Vec::new();
    for step in STEPS {
        if !draw.chance(60) {
            continue;
        }
        set(&mut hooks, step, FUNCTION);
        let mut answers: Vec<Value> = Vec::new();
        for _ in 0..draw.between(0, 3) {
            let wait = format!("wait {}", draw.between(1, 200));
            let picked = draw.pick(&["ok", "ok", "ok", "wait", "wait", "fail not now", "error", "garbage", "hang"]);
            answers.push(if picked == "wait" { wait } else { picked.to_owned() }.into());
        }
        answers.push("ok".into());
        functions.push(
            table([
                ("arn", FUNCTION.into()),
                ("step", step.into()),
                ("answers", answers.into()),
                ("timeout", "3m".into()),
                ("until", CALM.into()),
            ])
            .into(),
        );
    }
    set(&mut hooks, "timeout", format!("{}m", draw.between(1, 8)));
    if draw.chance(30) {
        set(&mut hooks, "on_error", "continue");
    }
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, "hooks", hooks));
    extend(scenario, "function", functions);
    if draw.chance(30) {
        let mut fault = table([
            ("operation", "lambda:Invoke".into()),
            ("times", draw.between(1, 6).into()),
            ("until", CALM.into()),
        ]);
        match draw.between(0, 3) {
            0 => set(&mut fault, "status", 503),
            1 => set(&mut fault, "error", "TooManyRequestsException"),
            2 => set(&mut fault, "reset", "after"),
            _ => set(&mut fault, "reset", "before"),
        }
        extend(scenario, "fault", vec![fault.into()]);
    }
}
