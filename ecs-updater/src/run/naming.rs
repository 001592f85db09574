//! Which container instances are tagged with the ARNs of their EC2 instances, and what came of it.

use jiff::Timestamp;
use models::fleet::Naming;

use super::cluster::Cluster;
use crate::planner::{self, Purpose, Unnamed};

impl Cluster<'_> {
    /// Takes in what was tagged, and has the next ones tagged. A plan writes nothing.
    pub(super) fn name_hosts(&mut self) {
        let is_for_one = matches!(self.facts.purpose, Purpose::Release(_));
        if self.facts.dry_run || is_for_one || !self.policy.names_hosts() {
            return;
        }
        let now = self.clock.now();
        for named in self.namer.take_heard() {
            if let Some(refused) = self.namer.learn(&named, now) {
                self.record_named(&named.order, refused, now);
            }
        }
        if self.namer.waits(now) || !self.may_write() {
            return;
        }
        let mut due = planner::unnamed(&self.fleet, self.policy, now);
        if !self.facts.purpose.begins() {
            due.retain(|unnamed| self.fleet.instances.get(&unnamed.host).is_some_and(|one| one.claim().is_some()));
        }
        if due.is_empty() {
            self.namer.rest();
        } else if let Some(why) = self.namer.refused_for_all(now).map(str::to_owned) {
            for order in &due {
                self.record_named(order, Some(why.clone()), now);
            }
        } else {
            self.namer.begin(&self.aws, due);
        }
    }

    fn record_named(&mut self, order: &Unnamed, refused: Option<String>, now: Timestamp) {
        let Unnamed { host, on, instance_arn } = order;
        let Some(instance) = self.fleet.instances.get_mut(host).filter(|one| one.container_instance == *on) else {
            return;
        };
        match &refused {
            None => {
                tracing::info!(%host, on = on.short(), "tagged with the ARN of its EC2 instance");
                instance.note_misnamed(now);
                instance.instance_tag = Some(instance_arn.as_str().into());
            }
            Some(why) => tracing::warn!(%host, on = on.short(), why, "not tagged with the ARN of its EC2 instance"),
        }
        let before = instance.run.naming.take().filter(|naming| naming.on == *on);
        let tries = before.map_or(1, |naming| naming.tries.saturating_add(1));
        instance.run.naming = Some(Box::new(Naming { on: on.clone(), tries, at: now, refused }));
    }
}
