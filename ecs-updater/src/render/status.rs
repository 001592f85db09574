//! How clusters stand, for people: who is out of service, what keeps updates from beginning, and what somebody has to do.
//! Sentences and no frames, so that a pipe, a log and a terminal show the same.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::{EXCLUDE_TAG, whole_seconds};
use models::clean;
use models::count::plural;
use models::ids::ZoneName;
use models::last::Last;
use models::status::{
    Begins, ClusterStatus, GroupBegins, InstanceLine, LastRun, LeaseStatus, Need, OutBy, OutOfService, StatusReport,
    VersionCount,
};

use super::duration;
use super::table::wrap;

/// So many lines of a list are shown, and so many instances named in one line.
const MOST_LINES: usize = 40;
const MOST_NAMES: usize = 8;
/// A lease that a run at work renews each minute is worth a remark after three.
const RENEWED_LATE: SignedDuration = SignedDuration::from_mins(3);

/// The status as text, with a line break at its end. `width` is the terminal's, in columns; `None` for a pipe: then no line
/// is broken.
pub fn render(report: &StatusReport, width: Option<u16>) -> String {
    let mut page = Page { text: String::new(), width, now: report.at };
    for cluster in &report.clusters {
        page.cluster(cluster);
    }
    if report.clusters.len() > 1 {
        page.paragraph(&closing(report), "");
    }
    page.text
}

/// One line on all clusters.
fn closing(report: &StatusReport) -> String {
    let named = |which: fn(&ClusterStatus) -> bool| {
        let clusters = report.clusters.iter().filter(|cluster| which(cluster)).map(|cluster| cluster.cluster.as_str());
        clusters.collect::<Vec<_>>().join(", ")
    };
    let needy = named(|cluster| !cluster.needs.is_empty());
    let unread = named(|cluster| cluster.error.is_some());
    let parts = [("needs you", needy), ("not read", unread)];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {names}"))
        .collect();
    let of_all = plural(report.clusters.len(), "cluster");
    if parts.is_empty() { format!("{of_all}: all well") } else { format!("{of_all}; {}", parts.join("; ")) }
}

struct Page {
    text: String,
    width: Option<u16>,
    now: Timestamp,
}

impl Page {
    fn paragraph(&mut self, text: &str, indent: &str) {
        self.text.push_str(&wrap(text, self.width, indent));
        self.text.push('\n');
    }

    /// A line of a list; what does not fit into it stands further in.
    fn item(&mut self, text: &str) {
        let broken = wrap(text, self.width, "      ");
        self.text.push_str("  ");
        self.text.push_str(broken.trim_start());
        self.text.push('\n');
    }

    fn list(&mut self, heading: &str, items: Vec<String>) {
        if items.is_empty() {
            return;
        }
        self.text.push('\n');
        self.paragraph(heading, "");
        for item in items.iter().take(MOST_LINES) {
            self.item(item);
        }
        if items.len() > MOST_LINES {
            self.item(&format!("and {} more; --output json names all", items.len() - MOST_LINES));
        }
    }

    fn cluster(&mut self, cluster: &ClusterStatus) {
        let location = if cluster.location.is_unknown() { String::new() } else { format!(" ({})", cluster.location) };
        let name = clean::name(cluster.cluster.as_str());
        if let Some(error) = &cluster.error {
            self.paragraph(&format!("Cluster {name}{location}: not read"), "");
            self.paragraph(&error.message, "  ");
            self.text.push('\n');
            return;
        }
        let instances = &cluster.instances;
        let out = instances.iter().filter(|line| line.out.is_some()).count();
        let allowed = cluster.max_unavailable.map(|most| format!(" (max_unavailable allows {most})"));
        self.paragraph(
            &format!(
                "Cluster {name}{location}: {}, {} in service, {out} out of service{}",
                plural(instances.len(), "instance"),
                instances.len() - out,
                allowed.unwrap_or_default(),
            ),
            "",
        );
        self.text.push('\n');
        self.item(&format!("lease: {}", self.lease(&cluster.lease)));
        if let Some(begins) = &cluster.begins {
            self.item(&format!("updates: {}", may_begin(begins)));
        }
        for GroupBegins { group, begins } in &cluster.groups {
            self.item(&format!("updates in group {}: {}", clean::name(group.as_str()), may_begin(begins)));
        }
        if let Some(run) = &cluster.last_run {
            self.item(&format!("last run: {}", self.last_run(run)));
        }
        if !cluster.versions.is_empty() {
            self.item(&format!("versions: {}", self.versions(&cluster.versions)));
        }
        self.lists(cluster);
        self.needs(&name, &cluster.needs);
    }

    fn lists(&mut self, cluster: &ClusterStatus) {
        let lines = &cluster.instances;
        let now = self.now;
        let out = lines.iter().filter_map(|line| Some(format!("{}: {}", who(line), of_out(line.out.as_ref()?, now))));
        self.list("Out of service:", out.collect());
        let claimed = lines.iter().filter(|line| line.out.is_none()).filter_map(|line| {
            let claim = line.claim.as_ref()?;
            let (since, step) = (self.since(claim.since), claim.step);
            Some(format!("{}: {step} by run {}, {} → {}, {since}", who(line), claim.run, claim.from, claim.to))
        });
        let claimed = claimed.collect();
        self.list("Claimed and in service:", claimed);
        let bad = lines.iter().filter_map(|line| Some(format!("{}: {}", who(line), line.malformed_claim.as_ref()?)));
        self.list("With a claim that cannot be read:", bad.collect());
        self.list("Excluded:", grouped(lines, exclusions));
        self.list("Failed:", grouped(lines, failures));
        self.list("Not known:", cluster.not_known.clone());
    }

    fn needs(&mut self, name: &str, needs: &[Need]) {
        self.text.push('\n');
        if needs.is_empty() {
            self.paragraph(&format!("{name}: all well"), "");
        }
        for need in needs {
            self.paragraph(&format!("{name} needs you: {}", need.message), "");
            for command in &need.commands {
                // A command that is broken into lines cannot be copied.
                self.text.push_str(&format!("    {}\n", clean::line(command)));
            }
        }
        self.text.push('\n');
    }

    fn lease(&self, lease: &LeaseStatus) -> String {
        match lease {
            LeaseStatus::NoTable => "no table is set".to_owned(),
            LeaseStatus::NotKnown { .. } => "not known".to_owned(),
            LeaseStatus::Never => "no run has ever held it".to_owned(),
            LeaseStatus::Free { run } => format!("free; run {run} gave it back"),
            LeaseStatus::Held { run, until, renewed_at, .. } => {
                let ago = self.ago(*renewed_at);
                let late = self.now.duration_since(*renewed_at) >= RENEWED_LATE;
                let late = if late { ", so that it may have died" } else { "" };
                format!("run {run} holds it until {} (renewed {ago}{late})", whole_seconds(*until))
            }
            LeaseStatus::Expired { run, at, .. } => {
                format!(
                    "expired {} ({}); run {run} held it and did not give it back",
                    whole_seconds(*at),
                    self.ago(*at)
                )
            }
        }
    }

    fn last_run(&self, run: &LastRun) -> String {
        let (at, ago) = (whole_seconds(run.written_at), self.ago(run.written_at));
        let how = match (run.ended, run.interrupted) {
            (true, true) => "was interrupted and ended",
            (true, false) => "ended",
            (false, _) => "was at work",
        };
        let counts = |counts: &BTreeMap<String, usize>, sign: &str| {
            let until = |name: &String| run.until.get(name).map(|at| format!(" until {}", whole_seconds(*at)));
            let named = counts
                .iter()
                .map(|(name, count)| format!("{count} {}{}", name.replace('_', sign), until(name).unwrap_or_default()));
            named.collect::<Vec<_>>().join(", ")
        };
        let outcomes = if run.outcomes.is_empty() { "no instance".to_owned() } else { counts(&run.outcomes, " ") };
        let held = if run.held.is_empty() { String::new() } else { format!("; held: {}", counts(&run.held, "_")) };
        let error = run.error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
        format!("{} {how} {at} ({ago}): {outcomes}{held}{error}", run.run)
    }

    fn versions(&self, versions: &[VersionCount]) -> String {
        let mut parts: Vec<String> = versions
            .iter()
            .map(|count| match &count.version {
                Some(version) => format!("{} on {version}", count.instances),
                None => format!("{} unknown", count.instances),
            })
            .collect();
        let oldest = versions.iter().filter_map(|count| count.oldest_word_at).min();
        parts.extend(oldest.map(|at| format!("the oldest report on them is from {}", self.ago(at))));
        parts.join(", ")
    }

    fn since(&self, at: Timestamp) -> String {
        since(at, self.now)
    }

    fn ago(&self, at: Timestamp) -> String {
        format!("{} ago", age(at, self.now))
    }
}

fn age(at: Timestamp, now: Timestamp) -> String {
    duration::short(now.duration_since(at).max(SignedDuration::ZERO))
}

fn since(at: Timestamp, now: Timestamp) -> String {
    format!("since {} ({})", whole_seconds(at), age(at, now))
}

/// The instance, its zone, and its group.
fn who(line: &InstanceLine) -> String {
    let group = line.group.as_ref().map(|group| format!("group {}", clean::name(group.as_str())));
    let places =
        line.zone.as_ref().map(|zone| clean::name(ZoneName::as_str(zone)).to_string()).into_iter().chain(group);
    let places = Vec::from_iter(places).join(", ");
    let places = if places.is_empty() { places } else { format!(" ({places})") };
    format!("{}{places}", clean::name(line.ec2_instance_id.as_str()))
}

fn of_out(out: &OutOfService, now: Timestamp) -> String {
    let by = match &out.by {
        OutBy::Run { run } => format!("by run {run}, "),
        OutBy::SomebodyElse => "by somebody else, ".to_owned(),
        OutBy::Itself => String::new(),
        OutBy::NotKnown => "by whom is not known, ".to_owned(),
    };
    let since = match out.since {
        Some(at) if out.seen => format!("seen {}", since(at, now)),
        Some(at) => since(at, now),
        None => "since when is not known".to_owned(),
    };
    format!("{by}{}, {since}", out.why)
}

fn may_begin(begins: &Begins) -> String {
    let until = begins.until.map(whole_seconds);
    match (begins.may, &begins.detail, until) {
        (true, _, Some(until)) => format!("may begin; the window closes at {until}"),
        (true, _, None) => "may begin".to_owned(),
        (false, Some(detail), _) => format!("may not begin: {}", detail.trim_start_matches("not begun: ")),
        (false, None, _) => "may not begin".to_owned(),
    }
}

/// One line for all instances that have the same in common.
fn grouped(lines: &[InstanceLine], said: fn(&InstanceLine) -> Vec<String>) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in lines {
        for what in said(line) {
            groups.entry(what).or_default().push(line.ec2_instance_id.as_str());
        }
    }
    let of_group = |(what, hosts): (String, Vec<&str>)| {
        let named: Vec<String> = hosts.iter().take(MOST_NAMES).map(|host| clean::name(host)).collect();
        let more = hosts.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{what}: {}{more}", named.join(", "))
    };
    groups.into_iter().map(of_group).collect()
}

fn exclusions(line: &InstanceLine) -> Vec<String> {
    let said = |excluded: &models::fleet::Exclusion| {
        let by = if excluded.tag == EXCLUDE_TAG { String::new() } else { format!(" (by its tag {})", excluded.tag) };
        format!("\"{}\"{by}", excluded.note)
    };
    line.excluded.iter().map(said).collect()
}

fn failures(line: &InstanceLine) -> Vec<String> {
    let marks = line.failed.iter().map(|mark| format!("{mark} is not tried again on"));
    // What the last run says of the same end has more words.
    let is_told = |last: &Last| line.troubled.as_ref().is_some_and(|one| one.reason.as_deref() == Some(last.outcome()));
    let last = line
        .last
        .iter()
        .filter(|last| last.is_failure() && !is_told(last))
        .map(|last| format!("the last update, {} → {}, ended as {}", last.from, last.to, last.outcome()));
    let of_run =
        line.troubled.iter().filter(|one| !["in_progress", "scaled_in"].contains(&one.outcome.as_str())).filter_map(
            |one| Some(format!("{} in the last run, {}", one.outcome.replace('_', " "), one.detail.as_ref()?)),
        );
    marks.chain(last).chain(of_run).collect()
}
