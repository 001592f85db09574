//! Steps that a host carries out: inspect, stage, reboot, revert, cancel.

use models::claim::{Claim, ClaimStep, Transport};
use models::fleet::Instance;
use models::ids::HostId;
use models::plan::{Cancel, HostCommand, Inspect, Reboot, Revert, Stage};

use super::Actor;
use super::batches::hosts_of;
use super::claims::{NewClaim, Versions, is_in_boot_of, next_attempt};
use crate::host::bridge;

/// Reboots that are looked at, claimed and sent together: as many as one claim for a bridge has room for.
const REBOOT_BATCH: usize = 19;
/// No more in one round: what else there is to do, such as putting an instance back in service, does not wait for long.
const MAX_REBOOTS_PER_ROUND: usize = 2 * REBOOT_BATCH;

/// A command for a host, and the claim that it is sent under.
struct Order {
    host: HostId,
    command: HostCommand,
    /// What is to stand on the instance before; `None` where that stands already.
    claim: Option<Claim>,
    /// The `version-lock` to be saved beside the claim, where the command changes that.
    saved_lock: Option<String>,
}

impl Actor<'_> {
    /// Writes the claims of the orders, notes those that stand on their instances, and sends their commands.
    async fn claim_and_send(&mut self, mut orders: Vec<Order>, note: impl Fn(&mut Instance)) {
        let claims = orders.iter_mut().filter_map(|order| {
            let claim = order.claim.clone()?;
            Some(NewClaim { host: order.host.clone(), claim, saved_lock: order.saved_lock.take() })
        });
        let claims = claims.collect();
        let claimed = self.claim(claims).await;
        orders.retain(|order| order.claim.is_none() || claimed.contains(&order.host));
        for order in &orders {
            self.with_instance_mut(&order.host, &note);
        }
        self.send(orders.into_iter().map(|order| (order.host, order.command)).collect()).await;
    }

    pub(super) async fn inspect(&mut self, steps: Vec<(HostId, Inspect)>) {
        let commands = steps.into_iter().map(|(host, Inspect { refresh })| (host, HostCommand::Inspect { refresh }));
        self.send(commands.collect()).await;
    }

    pub(super) async fn stage(&mut self, steps: Vec<(HostId, Stage)>) {
        let orders = steps.into_iter().map(|(host, step)| {
            let claim = self.stage_claim(&host, &step);
            let Stage { to, lock, .. } = step;
            let command = HostCommand::Stage { version: to, lock: lock.clone() };
            Order { host, command, claim: Some(claim), saved_lock: lock }
        });
        let orders: Vec<Order> = orders.collect();
        for Order { host, command, .. } in &orders {
            if let HostCommand::Stage { version, .. } = command {
                self.with_instance_mut(host, |instance| instance.run.staged_to = Some(version.clone()));
            }
        }
        self.claim_and_send(orders, |instance| instance.run.stages += 1).await;
    }

    /// Returns the claim for staging. For a drained instance that is the claim that stands: its bridge writes a lost image
    /// again by itself, and needs another attempt only after a failure.
    fn stage_claim(&self, host: &HostId, Stage { from, to, .. }: &Stage) -> Claim {
        match self.instance(host).and_then(|one| Some((one, one.out_of_service_claim()?))) {
            Some((instance, claim)) => {
                let failed = bridge::has_given_up(instance, claim);
                let attempt = if failed { next_attempt(instance, claim) } else { claim.attempt };
                Claim { transport: self.transport(host), attempt, ..claim.clone() }
            }
            None => self.claim_for(host, ClaimStep::Stage, Versions { from, to }, None),
        }
    }

    /// Puts a lock back, or undoes an activation. The claim of an instance that is out of service stays as it is: it
    /// says that the drain is ours.
    pub(super) async fn cancel(&mut self, steps: Vec<(HostId, Cancel)>) {
        let orders = steps.into_iter().filter_map(|(host, Cancel { boot, lock })| {
            let running = self.instance(&host)?.report.as_ref()?.report.running()?;
            let claim = if self.out_of_service_claim(&host).is_some() {
                None
            } else {
                let versions = Versions { from: &running, to: &running };
                Some(self.claim_for(&host, ClaimStep::Cancel, versions, None))
            };
            Some(Order { host, command: HostCommand::Revert { version: None, lock, boot }, claim, saved_lock: None })
        });
        let orders = orders.collect();
        let note = |instance: &mut Instance| {
            instance.run.cancels += 1;
            let called_off = instance.run.called_off.as_ref().map(|off| off.claim.since);
            let standing = instance.claim().filter(|claim| is_in_boot_of(instance, claim)).map(|one| one.since);
            instance.run.undone = called_off.or(standing).or(instance.run.undone);
        };
        self.claim_and_send(orders, note).await;
    }

    /// Goes back to the old version. Over SSM this only makes it the next to boot; the reboot is a step of its own. A host
    /// bridge does both for one claim, so that the last look before the reboot comes before that claim.
    pub(super) async fn revert(&mut self, mut steps: Vec<(HostId, Revert)>) {
        let by_bridge: Vec<HostId> =
            hosts_of(&steps).into_iter().filter(|host| self.transport(host) == Transport::Bridge).collect();
        if !by_bridge.is_empty() {
            let clear = self.clear_for_reboot(&by_bridge).await;
            steps.retain(|(host, _)| !by_bridge.contains(host) || clear.contains(host));
        }
        let mut orders = Vec::new();
        for (host, Revert { boot, lock, why }) in steps {
            let Some(claim) = self.out_of_service_claim(&host).cloned() else { continue };
            tracing::warn!(%host, from = %claim.to, to = %claim.from, why, "rolling back");
            let revert = self.claim_for(&host, ClaimStep::Revert, Versions::from(&claim), Some(&boot));
            self.with_instance_mut(&host, |instance| instance.run.trouble = Some(why));
            let command = HostCommand::Revert { version: Some(claim.from), lock: lock.clone(), boot };
            orders.push(Order { host, command, claim: Some(revert), saved_lock: lock });
        }
        self.claim_and_send(orders, |_| {}).await;
    }

    /// Reboots a few at a time, so that the first need not wait until the last one's tasks are listed; oldest drain first.
    pub(super) async fn reboot(&mut self, mut steps: Vec<(HostId, Reboot)>) {
        steps.sort_by_key(|(host, _)| self.out_of_service_claim(host).map(|claim| claim.since));
        steps.truncate(MAX_REBOOTS_PER_ROUND);
        while !steps.is_empty() {
            let later = steps.split_off(steps.len().min(REBOOT_BATCH));
            self.reboot_some(steps).await;
            steps = later;
        }
    }

    /// Takes the last look, then claims and reboots the instances that pass it; the others are left as they are.
    async fn reboot_some(&mut self, steps: Vec<(HostId, Reboot)>) {
        let clear = self.clear_for_reboot(&hosts_of(&steps)).await;
        let cleared = steps.into_iter().filter(|(host, _)| clear.contains(host));
        let orders = cleared.filter_map(|(host, Reboot { to, boot })| {
            let standing = self.out_of_service_claim(&host)?;
            let step = if standing.step == ClaimStep::Revert { ClaimStep::Revert } else { ClaimStep::Reboot };
            let claim = self.claim_for(&host, step, Versions::from(standing), Some(&boot));
            // One that stands already, the last look has just seen.
            let claim = (claim != *standing).then_some(claim);
            Some(Order { host, command: HostCommand::Reboot { version: to, boot }, claim, saved_lock: None })
        });
        let orders = orders.collect();
        self.claim_and_send(orders, |_| {}).await;
    }
}
