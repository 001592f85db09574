//! What a task needs that has no room, and which kind of room is missing, for people.

use std::collections::BTreeSet;
use std::fmt;

use models::clean;
use models::fleet::{Resources, Service};
use models::ids::ZoneName;

use super::moving::Moving;
use super::place::Place;
use super::strategy;

/// Of a constraint so many characters are told.
const MAX_CONSTRAINT: usize = 300;

/// A kind of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Memory,
    Cpu,
    Port,
    Gpu,
    Interface,
    /// One task of the service an instance.
    Distinct,
    Provider,
    Constraint,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "CPU",
            Self::Port => "the host port",
            Self::Gpu => "a GPU",
            Self::Interface => "a network interface",
            Self::Distinct => "a place without another of its tasks",
            Self::Provider => "the capacity provider that its task is for",
            Self::Constraint => "what a placement constraint asks for",
        })
    }
}

impl Place<'_> {
    /// Returns the kinds of room that a task of the service lacks here.
    pub(super) fn lacks(&self, Moving { needs, service, provider }: Moving<'_>) -> Vec<Kind> {
        let kinds = [
            (Kind::Memory, needs.memory > self.memory),
            (Kind::Cpu, needs.cpu > self.cpu),
            (Kind::Port, self.has_port_in_use(needs)),
            (Kind::Gpu, needs.gpus > self.gpus),
            (Kind::Interface, self.interfaces.is_some_and(|free| needs.interfaces > free)),
            (Kind::Distinct, service.distinct_instance && self.has_one_of(service)),
            (Kind::Provider, !strategy::allows(service, provider, self.instance)),
            (Kind::Constraint, !self.meets_all(service)),
        ];
        kinds.into_iter().filter(|(_, is_lacking)| *is_lacking).map(|(kind, _)| kind).collect()
    }
}

/// Says what the instance lacks that lacks the least; the kinds are in the order in which they are tested.
pub(super) fn words(places: &[Place<'_>], moving: Moving<'_>) -> String {
    let others = places.iter().filter(|place| !place.is_taken_out());
    let lacking = others.map(|place| (place.lacks(moving), place));
    match lacking.min_by_key(|(kinds, _)| kinds.len()) {
        None => "no other instance is in service".to_owned(),
        Some((kinds, place)) => {
            let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            let host = &place.instance.host;
            format!("{host}, which comes closest, lacks {}", kinds.join(" and "))
        }
    }
}

/// What a task needs, and where, for people.
pub(super) fn needs(places: &[Place<'_>], needs: &Resources, service: &Service) -> String {
    let mut words = format!("{} CPU units and {}", thousands(needs.cpu), mebibytes(needs.memory));
    if needs.gpus > 0 {
        words.push_str(&format!(" and {} GPU{}", needs.gpus, if needs.gpus == 1 { "" } else { "s" }));
    }
    if needs.interfaces > 0 {
        words.push_str(" and a network interface of its own");
    }
    if !needs.ports.is_empty() {
        let ports: Vec<String> = needs.ports.iter().map(u16::to_string).collect();
        words.push_str(&format!(" and host port {}", ports.join(", ")));
    }
    if !service.member_of.is_empty() {
        let fitting = places.iter().filter(|place| place.meets_all(service));
        let zones: BTreeSet<&ZoneName> = fitting.filter_map(|place| place.instance.zone.as_ref()).collect();
        match (zones.first(), zones.len()) {
            (Some(zone), 1) => words.push_str(&format!(" in {zone}")),
            _ => words.push_str(&format!(" where {}", clean::cut(&service.member_of.join(" and "), MAX_CONSTRAINT))),
        }
    }
    if service.distinct_instance {
        words.push_str(" on an instance without another of its tasks");
    }
    words
}

fn thousands(number: i64) -> String {
    match number {
        1_000.. => format!("{},{:03}", number / 1_000, number % 1_000),
        _ => number.to_string(),
    }
}

fn mebibytes(number: i64) -> String {
    match number % 1_024 {
        0 if number > 0 => format!("{} GiB", thousands(number / 1_024)),
        _ => format!("{} MiB", thousands(number)),
    }
}
