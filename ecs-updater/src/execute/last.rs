//! How an update ended, remembered on the instance: who failed last comes last, in the next run too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::fleet::Instance;
use models::ids::HostId;
use models::last::{LAST_TAG, Last};
use models::plan::End;

use super::Actor;

impl Actor<'_> {
    /// Writes on the instances how their updates ended, in one call for all that ended alike. Nothing waits for it and
    /// nothing fails for want of it.
    pub(super) async fn remember(&mut self, ends: &[(HostId, End)]) {
        let now = self.now();
        let mut alike: BTreeMap<String, (Last, Vec<HostId>)> = BTreeMap::new();
        for (host, end) in ends {
            let Some(last) = self.instance(host).and_then(|instance| last(instance, end, now)) else { continue };
            let (_, hosts) = alike.entry(last.to_string()).or_insert_with(|| (last, Vec::new()));
            hosts.push(host.clone());
        }
        for (value, (last, hosts)) in alike {
            let parts = self.aws.create_tags(&hosts, &[(LAST_TAG, value)]).await;
            let errors = parts.refused.iter().map(|(_, error)| error);
            for error in errors.chain(parts.failed.as_ref().map(|(_, error)| error)) {
                tracing::warn!(%error, %last, "not remembered how an update ended; it changes nothing else");
            }
            for host in parts.done.into_iter().flat_map(|(part, ())| part) {
                self.with_instance_mut(&host, |instance| {
                    instance.tags.last = Some(last.clone());
                    instance.run.tags_written_at = Some(now);
                });
            }
        }
    }
}

/// Returns what is to be remembered of an end; `None` where no update ended, or where that stands there already.
fn last(instance: &Instance, end: &End, now: Timestamp) -> Option<Last> {
    let claim = instance.claim();
    let last = match end {
        End::Updated { from, to } => Last::new(None, from, to, now)?,
        End::RolledBack { from, to, why } => Last::new(Some(why.code()), from, to, now)?,
        End::Failed { why } => {
            let claim = claim?;
            Last::new(Some(why.code()), &claim.from, &claim.to, now)?
        }
        End::Held { .. } | End::Current | End::Gone | End::ScaledIn { .. } => return None,
    };
    let is_written =
        |before: &Last| before.is_the_same_end(&last) && claim.is_some_and(|claim| before.at >= claim.since);
    (!instance.tags.last.as_ref().is_some_and(is_written)).then_some(last)
}
