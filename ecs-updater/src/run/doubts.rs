//! Claims that say that another run has the lease. Anybody who may tag an instance can write one, so the lease's table
//! settles it and not the claim.

use models::ids::HostId;

use super::cluster::Cluster;
use super::interruption::signal;
use crate::lease::doubted;

impl Cluster<'_> {
    /// Settles what the claims of the last look say against the lease: once it was renewed, they are held as malformed, each
    /// on its instance alone. A lease that is lost, or that cannot be renewed, ends the run by its keeper meanwhile.
    ///
    /// Returns false where a signal came before that was known: nothing may be written then.
    pub(super) async fn settle_doubts(&mut self) -> bool {
        let (Some(ours), Some(lease)) = (self.epoch, &self.lease) else { return true };
        let doubts: Vec<(HostId, String)> = doubted(&self.fleet, &self.facts.run, ours)
            .map(|(host, claim)| (host.clone(), claim.to_string()))
            .collect();
        let Some((host, claim)) = doubts.first() else { return true };
        tracing::warn!(
            cluster = %self.name,
            %host,
            claim,
            instances = doubts.len(),
            "a claim says that another run has the lease: nothing is written until the lease table has been read"
        );
        tokio::select! {
            biased;
            () = lease.hold.prove(self.clock) => {}
            () = signal(self.stop.clone()) => return false,
        }
        for (host, claim) in &doubts {
            tracing::warn!(cluster = %self.name, %host, claim, "this run has the lease: the claim is false, and held \
                as malformed");
            if let Some(instance) = self.fleet.instances.get_mut(host) {
                instance.disprove_claim(ours);
            }
        }
        true
    }
}
