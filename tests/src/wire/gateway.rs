//! What stands before every operation: faults, token buckets, permissions; and the log of calls behind it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::asked::{Asked, Body};
use super::buckets::Buckets;
use super::calls::{Call, Outcome};
use super::dispatch::{Answer, respond};
use super::failure::Failure;
use super::faults::{Fault, Faults};
use super::lambda::{Functions, Reply};
use super::partial;
use super::request::{Caller, Request, Response, Signature};
use super::service::Service;
use crate::iam::{self, Need, Policies};
use crate::scenario::{Reset, Scenario};
use crate::world::{Event, World};

/// A call that takes so long keeps its caller from what it does next.
const SLOW: SignedDuration = SignedDuration::from_secs(5);

/// The front of the simulated Region.
#[derive(Debug)]
pub(crate) struct Gateway {
    buckets: Buckets,
    faults: Faults,
    functions: Functions,
    calls: Vec<Call>,
    /// The updater's calls.
    counts: BTreeMap<String, u64>,
    unknown: Vec<String>,
    needs: BTreeSet<(Caller, Need)>,
    arrived: u64,
    /// Of the hosts' role.
    hosts_rights: Policies,
}

/// A call that has arrived and not yet been done.
#[derive(Debug)]
pub(crate) struct Admission {
    asked: Asked,
    by: Caller,
    signature: Option<Signature>,
    refused: Option<Failure>,
    reset: Option<Reset>,
    malformed: bool,
    fails: Option<(usize, String)>,
    reply: Option<Reply>,
    arrived_at: Timestamp,
    number: u64,
    /// How long the call takes in all.
    pub(crate) latency: SignedDuration,
}

impl Gateway {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            buckets: Buckets::default(),
            faults: Faults::new(&scenario.faults),
            functions: Functions::new(&scenario.functions),
            calls: Vec::new(),
            counts: BTreeMap::new(),
            unknown: Vec::new(),
            needs: BTreeSet::new(),
            arrived: 0,
            hosts_rights: Policies::of_hosts(scenario.region.bridge_policy),
        }
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(crate) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// The largest share of each token bucket that was in use at once.
    pub(crate) fn bucket_use(&self) -> BTreeMap<String, f64> {
        self.buckets.most_used()
    }

    /// What was asked for and is not modelled.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What IAM was asked for somebody's calls.
    pub(crate) fn needs(&self, by: Caller) -> BTreeSet<Need> {
        self.needs.iter().filter(|(caller, _)| *caller == by).map(|(_, need)| need.clone()).collect()
    }

    /// A request arrives.
    pub(crate) fn admit(&mut self, world: &World, request: &Request, now: Timestamp) -> Admission {
        self.arrived += 1;
        let (asked, malformed) = Asked::read(request);
        let host = request.signature.as_ref().and_then(|signature| world.host_of_key(&signature.access_key));
        let by = if host.is_some() { Caller::Agent } else { request.by };
        let needs = iam::needs(world, &asked, host);
        let forbidden = host.and_then(|_| needs.iter().find(|need| !self.hosts_rights.allow(need)).cloned());
        if forbidden.is_none() {
            self.needs.extend(needs.into_iter().map(|need| (by, need)));
        }
        let mut fault = self.faults.strike(world, &asked, now);
        let spec = &world.spec;
        let ms = |duration: SignedDuration| u64::try_from(duration.as_millis()).unwrap_or(0);
        let latency = world.dice.between("latency", self.arrived, ms(spec.latency_min), ms(spec.latency_max).max(1));
        let latency = SignedDuration::from_millis(i64::try_from(latency).unwrap_or(i64::MAX)) + fault.delay;
        let reset_before = fault.reset == Some(Reset::Before);
        let throttle = |buckets: &mut Buckets| {
            if spec.throttle && !reset_before {
                buckets.take(asked.service, &asked.operation, spec.ssm_rate, now).err()
            } else {
                None
            }
        };
        let refused = malformed
            .or(fault.failure.take())
            .or_else(|| throttle(&mut self.buckets))
            .or_else(|| forbidden.map(|need| forbidden_to_host(world, &need)))
            .or_else(|| denied(world, &asked));
        let begun = if refused.is_none() && !reset_before { self.functions.begin(world, &asked) } else { None };
        let (reply, refused) = match begun {
            Some(Ok(reply)) => (Some(reply), refused),
            Some(Err(failure)) => (None, Some(failure)),
            None => (None, refused),
        };
        let latency = reply.as_ref().map_or(latency, |reply| latency.saturating_add(reply.takes));
        let Fault { reset, malformed, fails, .. } = fault;
        Admission {
            asked,
            by,
            signature: request.signature.clone(),
            refused,
            reset,
            malformed,
            fails,
            reply,
            arrived_at: now,
            number: self.arrived,
            latency,
        }
    }

    /// The call is done; `None` when its connection breaks.
    pub(crate) fn complete(&mut self, world: &mut World, admission: Admission) -> Option<Response> {
        let Admission { asked, by, signature, refused, reset, malformed, fails, reply, arrived_at, number, latency } =
            admission;
        let (service, operation, summary) = (asked.service, asked.operation.clone(), asked.summary());
        let is_query = asked.is_query();
        let groups = asked.groups();
        let result: Option<Result<Answer, Failure>> = match (reset, refused, reply) {
            (Some(Reset::Before), ..) => None,
            (_, Some(failure), _) => Some(Err(failure)),
            (_, None, Some(Reply { body, error, hooked, .. })) => {
                world.record(Event::Hooked(hooked));
                Some(Ok(Answer::Function { body, error }))
            }
            (_, None, None) => Some(partial::perform(world, asked, fails)),
        };
        let outcome = match &result {
            _ if reset.is_some() => Outcome::Reset,
            None => Outcome::Reset,
            Some(Ok(_)) => Outcome::Success,
            Some(Err(failure)) if failure.code.is_empty() => Outcome::Error(failure.status.to_string()),
            Some(Err(failure)) => Outcome::Error(failure.code.clone()),
        };
        let call = Call { at: arrived_at, service, operation, summary, outcome, by, signature, latency };
        if let Some(Err(failure)) = &result
            && failure.is_unknown()
        {
            self.unknown.push(format!("{}: {}", call.name(), failure.message));
        }
        tracing::debug!(target: "fleet_sim::calls", "{call}");
        if by == Caller::Updater {
            *self.counts.entry(call.name()).or_default() += 1;
            world.called(&call.name());
            world.called_about(groups, &call.name(), call.outcome == Outcome::Success && !malformed);
            if call.outcome != Outcome::Success || malformed || call.latency >= SLOW {
                let now = world.now();
                world.invariants_mut().see_trouble(&call.name(), now);
            }
        }
        self.calls.push(call);
        if reset.is_some() {
            return None;
        }
        let mut response =
            result.map(|result| respond(service, is_query, result, world.dice.uuid("request", number)))?;
        if malformed {
            response.body.truncate(response.body.len() / 2);
        }
        Some(response)
    }
}

/// The role of the host that calls does not allow it.
fn forbidden_to_host(world: &World, Need { action, resource, .. }: &Need) -> Failure {
    let who = format!("arn:aws:sts::{}:assumed-role/ecsInstanceRole/i-host", world.spec.account);
    let because = format!("because no identity-based policy allows the {action} action");
    Failure::new(
        "AccessDeniedException",
        format!("User: {who} is not authorized to perform: {action} on resource: {resource} {because}"),
    )
}

/// The scenario's caller has no permission for an operation, or not on one of the instances that it names.
fn denied(world: &World, asked: &Asked) -> Option<Failure> {
    let name = asked.name();
    let machines = asked.ec2_instances().into_iter().filter_map(|id| world.machine_ids.get(&id).copied());
    let tagged =
        asked.tagged().and_then(|arn| world.registration_arns.get(&arn)).map(|at| world.registrations[*at].machine);
    let mut of_one = machines.chain(tagged).filter(|machine| world.ec2_denies(*machine, &name));
    if !world.spec.deny.contains(&name) && of_one.next().is_none() {
        return None;
    }
    let who = super::sts::caller_arn(world);
    let because = format!("because no identity-based policy allows the {name} action");
    Some(match asked.service {
        Service::S3 => match &asked.body {
            Body::Rest(rest) => super::s3::denied(&who, rest),
            Body::Json(_) | Body::Form(_) => return None,
        },
        Service::Ec2 => Failure {
            status: 403,
            ..Failure::new(
                "UnauthorizedOperation",
                format!(
                    "You are not authorized to perform this operation. User: {who} is not authorized to perform: \
                     {name} {because}"
                ),
            )
        },
        Service::AutoScaling | Service::CloudWatch => Failure {
            status: 403,
            ..Failure::new("AccessDenied", format!("User: {who} is not authorized to perform: {name} {because}"))
        },
        Service::Lambda => {
            let message =
                format!("User: {who} is not authorized to perform: lambda:InvokeFunction on resource: * {because}");
            Failure { status: 403, ..Failure::new("AccessDeniedException", message) }
        }
        Service::Dynamodb | Service::Ecs | Service::Events | Service::Ssm | Service::Sts | Service::Unknown => {
            Failure::new(
                "AccessDeniedException",
                format!("User: {who} is not authorized to perform: {name} on resource: * {because}"),
            )
        }
    })
}
