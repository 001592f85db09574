//! What the checks have found so far.

use std::collections::{BTreeMap, BTreeSet};

use models::build::DOCS;
use models::count::plural;
use models::doctor::{Finding, Severity};
use models::ids::HostId;

use super::check::Check;

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    what: String,
    to_do: Option<String>,
    commands: Vec<String>,
}

impl Said {
    /// What is wrong, or not known.
    pub(super) fn what(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// With what to do.
    pub(super) fn advising(self, to_do: impl Into<String>) -> Self {
        Self { to_do: Some(to_do.into()), ..self }
    }

    /// With a command for it.
    pub(super) fn typing(mut self, command: String) -> Self {
        self.commands.push(command);
        self
    }
}

/// What was found on a cluster.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// Where something was said of a check.
    places: BTreeSet<(Check, Option<HostId>)>,
    /// In how many places all is well.
    well: BTreeMap<Check, usize>,
}

impl Findings {
    pub(super) fn add(&mut self, severity: Severity, check: Check, host: Option<&HostId>, said: Said) {
        let Said { what, to_do, commands } = said;
        let host = host.cloned();
        self.places.insert((check, host.clone()));
        let (id, link) = (check.id().to_owned(), link(check));
        self.found.push(Finding { id, severity, host, what, to_do, commands, link });
    }

    pub(super) fn problem(&mut self, check: Check, host: Option<&HostId>, said: Said) {
        self.add(Severity::Problem, check, host, said);
    }

    pub(super) fn warning(&mut self, check: Check, host: Option<&HostId>, said: Said) {
        self.add(Severity::Warning, check, host, said);
    }

    pub(super) fn not_checked(&mut self, check: Check, host: Option<&HostId>, said: Said) {
        self.add(Severity::NotChecked, check, host, said);
    }

    /// Whether something was said of a check in a place.
    pub(super) fn has(&self, check: Check, host: Option<&HostId>) -> bool {
        self.places.contains(&(check, host.cloned()))
    }

    /// A check was made in this place: where nothing was said of it, all is well.
    pub(super) fn made(&mut self, check: Check, host: Option<&HostId>) {
        // What is not known of the cluster is not known of its hosts.
        if !self.has(check, host) && !self.has(check, None) {
            *self.well.entry(check).or_default() += 1;
        }
    }

    /// All, with a line for each check that found nothing anywhere, or not everywhere: the cluster first, then host by host.
    pub(super) fn into_vec(mut self, hosts: usize) -> Vec<Finding> {
        for (check, places) in self.well {
            let of_hosts = check >= Check::NotOurs;
            let what =
                if of_hosts { format!("{} of {}", places, plural(hosts, "host")) } else { "the cluster".to_owned() };
            let (id, link) = (check.id().to_owned(), link(check));
            let (severity, host, to_do, commands) = (Severity::Ok, None, None, Vec::new());
            self.found.push(Finding { id, severity, host, what, to_do, commands, link });
        }
        self.found.sort_by(|one, other| (&one.host, one.severity).cmp(&(&other.host, other.severity)));
        self.found
    }
}

fn link(check: Check) -> String {
    let page = format!("{DOCS}/prerequisites.md");
    format!("{page}#{}", check.id())
}
