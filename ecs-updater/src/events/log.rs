//! Events as lines of the log, so that a tail of it tells the story of a run.

use super::{Ending, Event, Tally, Transition, What};

/// Writes an event into the log. Failures are errors, and what a plan finds out is a detail.
pub fn log(event: &Event, dry_run: bool) {
    let Event { run, cluster, what, .. } = event;
    match what {
        What::Begins { location, dry_run } => tracing::info!(
            %cluster,
            region = location.region.as_ref().map(tracing::field::display),
            account = location.account.as_ref().map(tracing::field::display),
            %run,
            dry_run,
            "begins"
        ),
        What::Moves(moved) => log_move(event, moved, dry_run),
        What::Closes(why) => tracing::info!(%cluster, reason = why.code, "{}", why.sentence),
        What::Opens => tracing::info!(%cluster, "updates may be begun"),
        What::TakesBack { release, why } => tracing::warn!(
            %cluster,
            %release,
            reason = why.code,
            detail = why.sentence,
            "goes back from the release by itself"
        ),
        What::Stands(tally) => log_tally(event, tally),
        What::Ends(ending) => log_ending(event, ending),
    }
}

macro_rules! told {
    ($level:ident, $event:ident, $moved:ident) => {
        tracing::$level!(
            cluster = %$event.cluster,
            instance = %$moved.host,
            zone = $moved.zone.as_ref().map(tracing::field::display),
            group = $moved.group.as_ref().map(tracing::field::display),
            from = $moved.from.as_ref().map(tracing::field::display),
            to = $moved.to.as_ref().map(tracing::field::display),
            progress = %$moved.progress,
            state = $moved.is.code(),
            was = $moved.was.map(|was| was.code()),
            was_for_s = $moved.lasted.map(|lasted| lasted.as_secs()),
            reason = $moved.why.as_ref().map(|why| why.code.as_str()),
            detail = $moved.why.as_ref().map(|why| why.sentence.as_str()),
            "{}",
            $moved.is.words()
        )
    };
}

fn log_move(event: &Event, moved: &Transition, dry_run: bool) {
    if moved.is.is_failure() {
        told!(error, event, moved);
    } else if dry_run {
        told!(debug, event, moved);
    } else {
        told!(info, event, moved);
    }
}

fn log_tally(Event { cluster, .. }: &Event, tally: &Tally) {
    tracing::info!(
        %cluster,
        progress = %tally.progress,
        out_of_service = tally.out_of_service,
        budget = tally.budget,
        "{}",
        tally.sentence()
    );
}

fn log_ending(Event { cluster, .. }: &Event, ending: &Ending) {
    let took_s = ending.took.as_secs();
    let counts = ending.outcomes.iter().map(|(outcome, count)| format!("{count} {}", outcome.as_str()));
    let counts = counts.collect::<Vec<_>>().join(", ");
    match &ending.error {
        Some(error) => {
            tracing::warn!(%cluster, took_s, error = error.kind.as_str(), detail = error.message, counts, "ends early");
        }
        None => tracing::info!(%cluster, took_s, counts, "ends"),
    }
}
