//! What somebody should read first: failures, what is in the middle, and holds, each with its reason, which says what to do.

use std::collections::BTreeMap;
use std::fmt::{Error, Write as _};

use models::report::{ClusterReport, InstanceReport, Outcome};

use super::escaped;
use crate::events::State;
use crate::render::table;

/// So many instances are named at once; the others are under a line that opens.
const NAMED: usize = 12;

/// The instances of one outcome and one reason.
type Groups<'a> = BTreeMap<(u8, &'static str, &'a str, &'a str), Vec<&'a InstanceReport>>;

/// Writes the reasons, the gravest first.
pub(super) fn write(page: &mut String, cluster: &ClusterReport, dry_run: bool) -> Result<(), Error> {
    let mut groups = Groups::new();
    for instance in &cluster.instances {
        let is_told = match instance.outcome {
            Outcome::Failed | Outcome::RolledBack | Outcome::InProgress | Outcome::Held => true,
            Outcome::ScaledIn | Outcome::Gone | Outcome::WouldUpdate => instance.detail.is_some(),
            Outcome::Updated | Outcome::Current => false,
        };
        if is_told {
            let code = instance.reason.as_deref().unwrap_or_default();
            let detail = instance.detail.as_deref().unwrap_or("no reason is known");
            let rank = table::rank(instance.outcome, false);
            groups.entry((rank, instance.outcome.as_str(), code, detail)).or_default().push(instance);
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let heading = if dry_run { "What stands in the way" } else { "What needs a look" };
    writeln!(page, "<h3>{heading}</h3>")?;
    for ((_, class, code, detail), instances) in groups {
        let word = instances.first().map_or("", |first| State::Settled(first.outcome).word());
        write!(page, "<div class=\"need {class}\"><p><span class=\"chip {class}\">{word}</span> ")?;
        if !code.is_empty() {
            write!(page, "<code>{}</code> ", escaped(code))?;
        }
        writeln!(page, "{}</p>", escaped(detail))?;
        let name = |one: &&InstanceReport| format!("<code>{}</code>", escaped(one.ec2_instance_id.as_str()));
        if instances.len() <= NAMED {
            writeln!(page, "<p class=who>{}</p>", instances.iter().map(name).collect::<Vec<_>>().join(" "))?;
        } else {
            let names = instances.iter().map(name).collect::<Vec<_>>().join(" ");
            writeln!(
                page,
                "<details><summary>{} instances</summary><p class=who>{names}</p></details>",
                instances.len()
            )?;
        }
        writeln!(page, "</div>")?;
    }
    Ok(())
}
