//! How a cluster stood over the time of a run, in few points: for pictures of a rollout that are drawn later.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::ServiceName;

/// No line has more points. A longer one loses every second of those in which least is told.
const MOST_POINTS: usize = 400;
/// No more services are followed: the first by name that were seen.
const MOST_SERVICES: usize = 100;

/// A cluster over time. Each point holds until the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Instances out of service, no matter who took them out, and how many may be.
    #[serde(default)]
    pub out_of_service: Vec<OutAt>,
    /// The tasks of services on instances whose tasks were looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceName, Vec<RunningAt>>,
}

/// How many instances were out of service from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutAt {
    pub at: Timestamp,
    pub out: usize,
    /// What `max_unavailable` came to.
    pub budget: usize,
}

/// How many tasks a service had from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningAt {
    pub at: Timestamp,
    pub running: u32,
    pub desired: u32,
}

impl Timeline {
    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.out_of_service.is_empty() && self.services.is_empty()
    }

    /// Adds a point where it says something new.
    pub fn push(&mut self, point: OutAt) {
        let last = self.out_of_service.last();
        if last.is_none_or(|last| (last.out, last.budget) != (point.out, point.budget)) {
            self.out_of_service.push(point);
            thin(&mut self.out_of_service, |one, other| if one.out >= other.out { one } else { other }, |one| one.at);
        }
    }

    /// Adds a point of a service where it says something new.
    pub fn push_service(&mut self, service: &ServiceName, point: RunningAt) {
        if !self.services.contains_key(service) && self.services.len() >= MOST_SERVICES {
            return;
        }
        let points = self.services.entry(service.clone()).or_default();
        if points.last().is_none_or(|last| (last.running, last.desired) != (point.running, point.desired)) {
            points.push(point);
            thin(points, |one, other| if one.running <= other.running { one } else { other }, |one| one.at);
        }
    }
}

/// Makes one point of each two where there are too many: the worse one of both, from when the first began. The first and the
/// last stay.
fn thin<P: Copy + WithTime>(points: &mut Vec<P>, worse: impl Fn(P, P) -> P, at: impl Fn(&P) -> Timestamp) {
    if points.len() <= MOST_POINTS {
        return;
    }
    let Some(last) = points.pop() else { return };
    let pairs = points.chunks(2).map(|pair| match pair {
        [one, other] => worse(*one, *other).from(at(one)),
        [one, ..] => *one,
        [] => last,
    });
    let mut fewer: Vec<P> = pairs.collect();
    fewer.push(last);
    *points = fewer;
}

/// A point that can be told from another moment on.
trait WithTime {
    fn from(self, at: Timestamp) -> Self;
}

impl WithTime for OutAt {
    fn from(self, at: Timestamp) -> Self {
        Self { at, ..self }
    }
}

impl WithTime for RunningAt {
    fn from(self, at: Timestamp) -> Self {
        Self { at, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_point_that_says_nothing_new_is_left_out() {
        let mut timeline = Timeline::default();
        for (second, out) in [(0, 0), (5, 2), (10, 2), (15, 1)] {
            timeline.push(OutAt { at: at(second), out, budget: 2 });
        }
        let told: Vec<_> = timeline.out_of_service.iter().map(|point| (point.at, point.out)).collect();
        assert_eq!(told, [(at(0), 0), (at(5), 2), (at(15), 1)]);
    }

    #[test]
    fn a_long_night_has_few_points_and_keeps_the_worst_of_them() {
        let mut timeline = Timeline::default();
        let service = ServiceName::from("web");
        for second in 0..10_000 {
            let out = if second == 4_321 { 9 } else { usize::from(second % 2 == 0) };
            timeline.push(OutAt { at: at(second), out, budget: 9 });
            let running = if second == 1_234 { 1 } else { 10 + u32::from(second % 2 == 0) };
            timeline.push_service(&service, RunningAt { at: at(second), running, desired: 11 });
        }
        let points = &timeline.out_of_service;
        assert!(points.len() <= MOST_POINTS, "{}", points.len());
        assert_eq!(points.iter().map(|point| point.out).max(), Some(9));
        assert_eq!((points[0].at, points[points.len() - 1].at), (at(0), at(9_999)));
        assert!(points.is_sorted_by_key(|point| point.at));
        let running = &timeline.services[&service];
        assert_eq!(running.iter().map(|point| point.running).min(), Some(1));
        assert!(running.len() <= MOST_POINTS);
    }

    #[test]
    fn no_more_than_so_many_services_are_followed() {
        let mut timeline = Timeline::default();
        for number in 0..300 {
            let point = RunningAt { at: at(0), running: 1, desired: 1 };
            timeline.push_service(&ServiceName::from(format!("s{number}")), point);
        }
        assert_eq!(timeline.services.len(), MOST_SERVICES);
    }
}
