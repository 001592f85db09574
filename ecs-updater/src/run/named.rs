//! Which instances `--instance` and `--skip` name, before anything is begun: one that no cluster has is a slip of the pen, and
//! was meant for another one.

use std::collections::{BTreeMap, BTreeSet};

use models::ids::{ClusterName, ContainerInstanceArn, HostId};
use models::report::{ClusterError, ClusterErrorKind};
use models::selection::{InstanceName, Named, Selection};
use tokio::sync::watch;

use super::interruption::signal;
use crate::aws::{Aws, AwsError};

/// What is known of the named instances.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) selection: Selection,
    /// The clusters on which nothing is begun.
    pub(super) refused: BTreeMap<ClusterName, ClusterError>,
}

/// A container instance, and its machine.
type Registered = (ContainerInstanceArn, HostId);

/// Asks the clusters for the named instances. A signal leaves nothing selected.
pub(super) async fn find(clusters: Vec<(&ClusterName, Aws)>, named: &Named, stop: watch::Receiver<bool>) -> Found {
    if named.is_empty() {
        return Found::default();
    }
    let names: Vec<InstanceName> = named.only.iter().chain(&named.skip).cloned().collect();
    let looks = clusters.into_iter().map(|(cluster, aws)| {
        let names = &names;
        async move { (cluster, aws.find_container_instances(cluster, names).await) }
    });
    tokio::select! {
        biased;
        looks = futures_util::future::join_all(looks) => judge(looks, named),
        () = signal(stop) => {
            let selection = Selection { only: Some(BTreeSet::new()), ..Selection::default() };
            Found { selection, ..Found::default() }
        }
    }
}

/// Where one of the names leads nowhere, or two flags name one machine, nothing is begun on any cluster: `--skip` may
/// have been meant for an instance of each. Nor is anything begun on a cluster that could not be asked.
fn judge(looks: Vec<(&ClusterName, Result<Vec<Registered>, AwsError>)>, named: &Named) -> Found {
    let registered: Vec<&Registered> = looks.iter().filter_map(|(_, look)| look.as_ref().ok()).flatten().collect();
    let mut problems = Vec::new();
    let mut hosts = |names: &[InstanceName], flag: &str| {
        let mut hosts = BTreeSet::new();
        for name in names {
            let before = hosts.len();
            let of_name: BTreeSet<&HostId> =
                registered.iter().filter(|(arn, host)| name.is(arn, host)).map(|(_, host)| host).collect();
            hosts.extend(of_name.iter().map(|host| (*host).clone()));
            if of_name.is_empty() && hosts.len() == before {
                problems.push(format!("no cluster of this run has the container instance {name} ({flag})"));
            }
        }
        hosts
    };
    let (only, skip) = (hosts(&named.only, "--instance"), hosts(&named.skip, "--skip"));
    problems.extend(only.intersection(&skip).map(|host| format!("{host} is named by both --instance and --skip")));
    let mut refused = BTreeMap::new();
    let silent: Vec<&str> =
        looks.iter().filter(|(_, look)| look.is_err()).map(|(cluster, _)| cluster.as_str()).collect();
    for (cluster, look) in &looks {
        let error = match look {
            Err(error) => error.on(cluster),
            Ok(_) if problems.is_empty() => continue,
            Ok(_) => {
                let mut message = format!(
                    "cluster {cluster}: nothing was begun: {}; check the ids, --cluster and the Region",
                    problems.join(", ")
                );
                if !silent.is_empty() {
                    message.push_str(&format!(" (not asked, since AWS gave no answer: {})", silent.join(", ")));
                }
                ClusterError { kind: ClusterErrorKind::Configuration, message }
            }
        };
        refused.insert((*cluster).clone(), error);
    }
    let only = (!named.only.is_empty()).then_some(only);
    Found { selection: Selection { only, skip }, refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "arn:aws:ecs:eu-west-1:1:container-instance/web/00000000000000000000000000000001";
    const DB: &str = "arn:aws:ecs:eu-west-1:1:container-instance/db/00000000000000000000000000000002";

    fn named(only: &[&str], skip: &[&str]) -> Named {
        let read = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Named { only: read(only), skip: read(skip) }
    }

    fn judged(named: &Named, is_db_silent: bool) -> Found {
        let (web, db) = ("web".into(), "db".into());
        let of_db =
            if is_db_silent { Err(AwsError::not_described()) } else { Ok(vec![(DB.into(), "i-00000002".into())]) };
        judge(vec![(&web, Ok(vec![(WEB.into(), "i-00000001".into())])), (&db, of_db)], named)
    }

    #[test]
    fn each_id_is_of_one_of_the_clusters() {
        let found = judged(&named(&["i-00000001", DB], &[]), false);
        let both: BTreeSet<HostId> = ["i-00000001", "i-00000002"].map(HostId::from).into();
        assert_eq!(found.selection, Selection { only: Some(both), skip: BTreeSet::new() });
        assert!(found.refused.is_empty());
        let found = judged(&named(&[], &["00000000000000000000000000000002"]), false);
        assert_eq!(found.selection, Selection { only: None, skip: [HostId::from("i-00000002")].into() });
        assert!(found.refused.is_empty());
    }

    #[test]
    fn what_leads_nowhere_lets_nothing_begin() {
        let table = [
            ("mistyped", named(&["i-00000001", "i-00000003"], &[]), "the container instance i-00000003 (--instance)"),
            ("mistyped in skip", named(&[], &["i-00000003"]), "the container instance i-00000003 (--skip)"),
            ("both", named(&[WEB], &["i-00000001"]), "i-00000001 is named by both --instance and --skip"),
        ];
        for (name, named, words) in table {
            let found = judged(&named, false);
            assert_eq!(found.refused.len(), 2, "{name}");
            for error in found.refused.values() {
                assert_eq!(error.kind, ClusterErrorKind::Configuration, "{name}");
                assert!(error.message.contains(words), "{name}: {}", error.message);
            }
        }
    }

    #[test]
    fn on_a_cluster_that_could_not_be_asked_nothing_is_begun() {
        let found = judged(&named(&["i-00000001"], &[]), true);
        assert_eq!(Vec::from_iter(found.refused.keys().map(ClusterName::as_str)), ["db"]);
        assert_ne!(found.refused[&"db".into()].kind, ClusterErrorKind::Configuration);
        let found = judged(&named(&["i-00000001", "i-00000002"], &[]), true);
        assert_eq!(found.refused[&"web".into()].kind, ClusterErrorKind::Configuration);
        assert!(found.refused[&"web".into()].message.contains("no answer: db"));
    }
}
