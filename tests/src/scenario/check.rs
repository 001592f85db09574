//! Whether what a scenario names is there.

use std::collections::BTreeSet;

use super::Scenario;
use super::error::ScenarioError;
use super::event::{Action, ClusterAction, EventSpec, EventTime, HostAction};
use super::machines::{MachineSpec, host_spec, merge};
use super::providers::StrategyItem;
use super::shape::ServiceKind;
use super::when::{When, means};
use crate::wire::service::OPERATIONS;

impl Scenario {
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        for (cluster, tags) in &self.cluster_tags {
            self.cluster_of("cluster_tags", Some(cluster))?;
            let mut texts = tags.iter().flat_map(|(key, value)| [key, value]);
            if let Some(text) = texts.find(|text| !text.chars().all(in_ecs_tags)) {
                return Err(ScenarioError::ClusterTag { cluster: cluster.clone(), text: text.clone() });
            }
        }
        for service in &self.services {
            let what = format!("service {}", service.name);
            self.cluster_of(&what, service.cluster.as_deref())?;
            if let Some(text) = &service.member_of {
                crate::query::Filter::parse(text).map_err(|reason| ScenarioError::MemberOf {
                    name: service.name.clone(),
                    reason: reason.to_string(),
                })?;
            }
        }
        self.check_providers()?;
        let count = self.machines.len();
        for task in &self.tasks {
            if task.host >= count {
                return Err(ScenarioError::NoSuchHost { index: task.host, count });
            }
        }
        for (index, event) in self.events.iter().enumerate() {
            self.check_event(index, event)?;
        }
        for function in &self.functions {
            self.check_hosts(function.host.as_slice())?;
        }
        for (index, fault) in self.faults.iter().enumerate() {
            is_modelled(&fault.operation, || format!("fault {index}"))?;
            self.check_hosts(fault.naming.as_slice())?;
            let has = |group: &String| self.machines.iter().any(|machine| machine.instance.asg.as_ref() == Some(group));
            if fault.group.as_ref().is_some_and(|group| !has(group)) {
                return Err(ScenarioError::Fault { index, reason: "names a group that no instance is in" });
            }
            if !fault.has_effect() {
                let reason = "needs error, status, delay, reset, malformed or fails";
                return Err(ScenarioError::Fault { index, reason });
            }
        }
        Ok(())
    }

    fn check_providers(&self) -> Result<(), ScenarioError> {
        let fail = |what: String, reason| Err(ScenarioError::Provider { what, reason });
        for (name, provider) in &self.providers {
            let what = format!("capacity provider {name}");
            self.cluster_of(&what, provider.cluster.as_deref())?;
            if provider.termination_protection && provider.managed_scaling.is_none() {
                return fail(what, "managed termination protection needs managed scaling");
            }
            let group = |machine: &&MachineSpec| machine.instance.provider.as_ref() == Some(name);
            let groups: BTreeSet<Option<&String>> =
                self.machines.iter().filter(group).map(|machine| machine.instance.asg.as_ref()).collect();
            let own = provider.group.as_ref();
            if groups.len() > 1 || groups.iter().any(|group| group.is_none() || (own.is_some() && *group != own)) {
                return fail(what, "its machines must be in its Auto Scaling group");
            }
        }
        for (cluster, strategy) in &self.default_strategy {
            self.cluster_of("default_strategy", Some(cluster))?;
            self.check_strategy("default_strategy", strategy)?;
        }
        for service in &self.services {
            let what = format!("service {}", service.name);
            self.check_strategy(&what, service.strategy.as_deref().unwrap_or_default())?;
            if service.kind == ServiceKind::Daemon && service.strategy.is_some() {
                return fail(what, "a strategy is for REPLICA services");
            }
        }
        Ok(())
    }

    fn check_strategy(&self, what: &str, strategy: &[StrategyItem]) -> Result<(), ScenarioError> {
        let is_known = |name: &String| {
            self.providers.contains_key(name)
                || self.machines.iter().any(|machine| machine.instance.provider.as_ref() == Some(name))
        };
        let fail = |reason| Err(ScenarioError::Provider { what: what.to_owned(), reason });
        if strategy.iter().any(|item| !is_known(&item.provider)) {
            return fail("its strategy names a capacity provider that the scenario does not have");
        }
        if strategy.iter().filter(|item| item.base > 0).count() > 1 {
            return fail("only one capacity provider of a strategy can have a base");
        }
        if !strategy.is_empty() && strategy.iter().all(|item| item.weight == 0) {
            return fail("one capacity provider of a strategy must have a weight");
        }
        Ok(())
    }

    fn check_event(&self, index: usize, event: &EventSpec) -> Result<(), ScenarioError> {
        match &event.due {
            EventTime::At(_) => {}
            EventTime::After(When::Host(when), _) => self.check_hosts(when.host.as_slice())?,
            EventTime::After(When::Call(when), _) if when.nth == 0 => {
                return Err(ScenarioError::Event { index, reason: "counts calls from 1".to_owned() });
            }
            EventTime::After(When::Call(when), _) => is_modelled(&when.call, || format!("event {index}"))?,
        }
        match &event.action {
            Action::Hosts(hosts, action) => {
                self.check_hosts(hosts)?;
                self.check_host_action(index, hosts, action)
            }
            Action::Service(named, _) if !self.services.iter().any(|service| service.name == named.service) => {
                Err(ScenarioError::NoSuchService { index, name: named.service.clone() })
            }
            Action::Cluster(name, action) => self.check_cluster_action(index, name.as_deref(), action),
            Action::Group(name, _) if !self.machines.iter().any(|one| one.instance.asg.as_deref() == Some(name)) => {
                Err(ScenarioError::Event { index, reason: format!("names group {name:?}, which has no instance") })
            }
            Action::Service(..)
            | Action::Group(..)
            | Action::Repository(_)
            | Action::Parameter(_)
            | Action::Alarm(_)
            | Action::Clock(_) => Ok(()),
        }
    }

    fn check_cluster_action(
        &self,
        index: usize,
        name: Option<&str>,
        action: &ClusterAction,
    ) -> Result<(), ScenarioError> {
        self.cluster_of(&format!("event {index}"), name)?;
        let texts = match action {
            ClusterAction::ClusterTag { key, value } => [key.as_str(), value.as_str()],
            ClusterAction::ClusterUntag { key } => [key.as_str(), ""],
        };
        match texts.iter().find(|text| !text.chars().all(in_ecs_tags)) {
            Some(text) => Err(ScenarioError::Event { index, reason: format!("{text:?} cannot stand in a tag of ECS") }),
            None => Ok(()),
        }
    }

    fn check_hosts(&self, hosts: &[usize]) -> Result<(), ScenarioError> {
        let count = self.machines.len();
        match hosts.iter().find(|host| **host >= count) {
            Some(index) => Err(ScenarioError::NoSuchHost { index: *index, count }),
            None => Ok(()),
        }
    }

    fn check_host_action(&self, index: usize, hosts: &[usize], action: &HostAction) -> Result<(), ScenarioError> {
        if let HostAction::Forge { of, .. } = action {
            self.check_hosts(&[*of])?;
        }
        let HostAction::Set { set } = action else { return Ok(()) };
        if set.is_empty() {
            return Err(ScenarioError::Event { index, reason: "set needs a key of the host".to_owned() });
        }
        for host in hosts {
            let mut table = self.machines[*host].host_table.clone();
            merge(&mut table, set.clone());
            host_spec(&table).map_err(|source| ScenarioError::Host { index: *host, source })?;
        }
        Ok(())
    }
}

/// Whether a pattern means some operation.
fn is_modelled(pattern: &str, what: impl Fn() -> String) -> Result<(), ScenarioError> {
    if OPERATIONS.iter().any(|operation| means(pattern, operation)) {
        Ok(())
    } else {
        Err(ScenarioError::NoSuchOperation { what: what(), pattern: pattern.to_owned() })
    }
}

/// The characters that ECS takes in a tag's key and value (ECS API reference, `Tag`).
fn in_ecs_tags(char: char) -> bool {
    char.is_alphanumeric() || "+-=._:/@ ".contains(char)
}
