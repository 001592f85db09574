//! Lambda, REST and JSON: `Invoke` (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
//!
//! What a function does is the scenario's. Its own error is a success of the call, with the header `X-Amz-Function-Error`; what
//! Lambda itself refuses has an HTTP status and the header `x-amzn-errortype`.

use jiff::SignedDuration;
use serde_json::json;

use super::asked::{Asked, Body, FUNCTION_NAME};
use super::failure::Failure;
use super::service::Service;
use crate::scenario::{FunctionAnswer, FunctionSpec};
use crate::world::{Hooked, World};

/// The largest answer of a synchronous call (Lambda developer guide, "Lambda quotas").
const LARGEST: usize = 6 << 20;

/// The functions of a scenario, and how often each has answered.
#[derive(Debug, Default)]
pub(super) struct Functions(Vec<(FunctionSpec, usize)>);

/// What a function does with a request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) takes: SignedDuration,
    pub(super) body: Vec<u8>,
    pub(super) error: Option<&'static str>,
    /// For the rules.
    pub(super) hooked: Hooked,
}

impl Functions {
    pub(super) fn new(specs: &[FunctionSpec]) -> Self {
        Self(specs.iter().map(|spec| (spec.clone(), 0)).collect())
    }

    /// The function of a request begins to run; `None` where it is none.
    pub(super) fn begin(&mut self, world: &World, asked: &Asked) -> Option<Result<Reply, Failure>> {
        let (Service::Lambda, Body::Json(params)) = (asked.service, &asked.body) else { return None };
        if asked.operation != "Invoke" {
            return Some(Err(Failure::unknown("Operation", format!("lambda:{} is not modelled", asked.operation))));
        }
        let text = |name: &str| params.peek_text(name).unwrap_or_default();
        let (arn, step) = (text(FUNCTION_NAME), text("step"));
        let machine = world.machine(&text("instance")).map(|(number, _)| number);
        let is_for = |spec: &FunctionSpec| {
            spec.arn == arn
                && spec.step.as_ref().is_none_or(|wanted| *wanted == step)
                && spec.host.is_none_or(|host| machine.is_some_and(|machine| machine.0 == host))
        };
        let Some((spec, answered)) = self.0.iter_mut().find(|(spec, _)| is_for(spec)) else {
            let message = format!("Function not found: {arn}");
            return Some(Err(Failure { status: 404, ..Failure::new("ResourceNotFoundException", message) }));
        };
        let is_over = spec.until.is_some_and(|until| until <= world.now().duration_since(world.start));
        let next = spec.answers.get(*answered).or(spec.answers.last()).filter(|_| !is_over);
        let answer = next.cloned().unwrap_or(FunctionAnswer::Ok);
        *answered += 1;
        let runs = if answer == FunctionAnswer::Hang { SignedDuration::MAX } else { spec.takes };
        let takes = runs.min(spec.timeout);
        let is_cut = takes < runs;
        let (body, error) = if is_cut { timed_out(takes) } else { said(&answer) };
        let hooked = Hooked {
            cluster: text("cluster"),
            run: text("run"),
            step,
            machine,
            key: text("key"),
            ok: answer == FunctionAnswer::Ok && !is_cut,
            error: error.is_some() || matches!(answer, FunctionAnswer::Garbage | FunctionAnswer::Huge),
        };
        Some(Ok(Reply { takes, body, error, hooked }))
    }
}

fn timed_out(takes: SignedDuration) -> (Vec<u8>, Option<&'static str>) {
    let message = format!("2026-11-23T03:00:00.000Z Task timed out after {}.00 seconds", takes.as_secs());
    (json!({ "errorMessage": message }).to_string().into_bytes(), Some("Unhandled"))
}

fn said(answer: &FunctionAnswer) -> (Vec<u8>, Option<&'static str>) {
    let value = match answer {
        FunctionAnswer::Ok | FunctionAnswer::Hang => json!({ "answer": "ok" }),
        FunctionAnswer::Wait(seconds) => json!({ "answer": "wait", "seconds": seconds }),
        FunctionAnswer::Fail(reason) => json!({ "answer": "fail", "reason": reason }),
        FunctionAnswer::Error => {
            let body = json!({ "errorMessage": "name 'redy' is not defined", "errorType": "NameError" });
            return (body.to_string().into_bytes(), Some("Unhandled"));
        }
        FunctionAnswer::Garbage => json!({ "statusCode": 200, "body": "{\"answer\": \"ok\"}" }),
        FunctionAnswer::Huge => json!({ "answer": "ok", "more": "x".repeat(LARGEST - 40) }),
    };
    (value.to_string().into_bytes(), None)
}
