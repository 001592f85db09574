//! What `doctor` found, for people: what is wrong with each cluster, then with each of its hosts, with what to type. Sentences and
//! no frames, so that a pipe, a log and a terminal show the same.

use std::collections::BTreeMap;

use models::build::DOCS;
use models::clean;
use models::count::plural;
use models::doctor::{DoctorReport, Examined, Finding, Severity};
use models::ids::HostId;

use super::table::wrap;

/// So many hosts are shown with what is wrong with them.
const MOST_HOSTS: usize = 40;
/// The column in which a sentence begins.
const WORDS: usize = 13;

/// The report as text, with a line break at its end. `width` is the terminal's, in columns; `None` for a pipe: then no line
/// is broken.
pub fn render(report: &DoctorReport, width: Option<u16>) -> String {
    let mut page = Page { text: String::new(), width };
    for cluster in &report.clusters {
        page.cluster(cluster);
    }
    page.line(&format!("Each check is explained at {DOCS}/prerequisites.md#the-checks-of-doctor"));
    page.text
}

struct Page {
    text: String,
    width: Option<u16>,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(&wrap(text, self.width, ""));
        self.text.push('\n');
    }

    fn cluster(&mut self, cluster: &Examined) {
        let location = if cluster.location.is_unknown() { String::new() } else { format!(" ({})", cluster.location) };
        let name = clean::name(cluster.cluster.as_str());
        let hosts = if cluster.read { plural(cluster.hosts, "host") } else { "its hosts could not be read".to_owned() };
        self.line(&format!("Cluster {name}{location}: {hosts}"));
        self.text.push('\n');
        let (well, wrong): (Vec<&Finding>, Vec<&Finding>) =
            cluster.findings.iter().partition(|finding| finding.severity == Severity::Ok);
        let mut by_host: BTreeMap<Option<&HostId>, Vec<&Finding>> = BTreeMap::new();
        for finding in wrong {
            by_host.entry(finding.host.as_ref()).or_default().push(finding);
        }
        let hosts = by_host.len().saturating_sub(usize::from(by_host.contains_key(&None)));
        let mut shown = 0;
        for (host, findings) in &by_host {
            if let Some(host) = host {
                shown += 1;
                if shown > MOST_HOSTS {
                    break;
                }
                self.text.push_str(&format!("  host {}\n", clean::name(host.as_str())));
            }
            for finding in findings {
                self.finding(finding);
            }
        }
        if hosts > MOST_HOSTS {
            self.line(&format!("  and {} more; --output json names all", plural(hosts - MOST_HOSTS, "host")));
        }
        if !well.is_empty() {
            let of_hosts = well.iter().map(|finding| match finding.what.split_once(" of ") {
                Some((count, _)) => format!("{} ({count})", finding.id),
                None => finding.id.clone(),
            });
            let of_hosts: Vec<String> = of_hosts.collect();
            self.item("ok", &of_hosts.join(", "));
        }
        self.text.push('\n');
        let count = |severity| cluster.count(severity);
        let (problems, warnings) = (count(Severity::Problem), count(Severity::Warning));
        let nothing = if problems + warnings == 0 { "nothing is wrong" } else { "" };
        let wrong = [plural(problems, "problem"), plural(warnings, "warning")].join(", ");
        let wrong = if nothing.is_empty() { wrong } else { nothing.to_owned() };
        self.line(&format!("{name}: {wrong}; {} not checked", count(Severity::NotChecked)));
        self.text.push('\n');
    }

    fn finding(&mut self, finding: &Finding) {
        let to_do = finding.to_do.as_ref().map(|to_do| format!(". To do: {to_do}")).unwrap_or_default();
        self.item(finding.severity.as_str(), &format!("{}: {}{to_do}", finding.id, finding.what));
        for command in &finding.commands {
            // A command that is broken into lines cannot be copied.
            self.text.push_str(&format!("{:WORDS$}    {}\n", "", clean::line(command)));
        }
    }

    /// A line that begins with a word; what does not fit into it stands below its sentence.
    fn item(&mut self, word: &str, text: &str) {
        let broken = wrap(text, self.width, &" ".repeat(WORDS + 2));
        self.text.push_str(&format!("  {word:WORDS$}{}\n", broken.trim_start()));
    }
}
