//! What is asked of both hosts, and how exactly the answers must agree.

use crate::host::{Command, Request};

/// A transaction that nobody uses, and a name that nothing has.
const NOBODY: &str = "fleet-sim-conform";

/// A request, and what of its answer is compared.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) request: Request,
    pub(super) exactly: Exactly,
}

/// How exactly two answers must agree, beside status and content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactly {
    /// Byte for byte.
    Text,
    /// As JSON: the fields that the simulator knows.
    Json,
    /// As JSON of the same type: what is in it is this host's.
    Type,
    /// A text up to the words that name what the host's model has.
    UpToTheModel,
}

impl Compared {
    pub(super) fn title(&self) -> String {
        let Request { method, path_and_query, body, .. } = &self.request;
        match std::str::from_utf8(body) {
            Ok(body) if !body.is_empty() => format!("{method} {path_and_query} <- {body}"),
            Ok(_) | Err(_) => format!("{method} {path_and_query}"),
        }
    }
}

/// Answers that are JSON of known fields.
const READS: [&str; 9] = [
    "/os",
    "/os?prefix=version",
    "/updates/status",
    "/settings?prefix=updates",
    "/settings?keys=settings.updates.version-lock,settings.updates.ignore-waves",
    "/services?names=updog",
    "/services?names=thar-be-updates",
    "/configuration-files?names=updog-toml",
    "/metadata/affected-services?keys=settings.updates",
];

/// Answers whose content is the host's own.
const LISTS: [&str; 3] = ["/tx/list", "/services", "/configuration-files"];

/// Answers that are the same on every host.
const TEXTS: [&str; 15] = [
    "/os?prefix=",
    "/nonexistent",
    "/settings?prefix=",
    "/settings?keys=",
    "/settings?keys=settings.nope",
    "/services?names=",
    "/services?names=fleet-sim-conform",
    "/services?prefix=fleet-sim-conform",
    "/configuration-files?names=fleet-sim-conform",
    "/configuration-files?prefix=fleet-sim-conform",
    "/metadata/affected-services",
    "/metadata/affected-services?keys=",
    "/actions/refresh-updates",
    "/actions/reboot",
    "/tx?tx=fleet-sim-conform",
];

/// Patches that are refused, or have no value.
const PATCHES: [&str; 7] = [
    "{}",
    "{\"updates\":",
    "",
    "{\"updates\":null}",
    "{\"updates\":{\"version-lock\":null}}",
    "{\"updates\":{\"version-lock\":\"newest\"}}",
    "{\"updates\":{\"ignore-waves\":\"yes\"}}",
];

/// The same as key pairs.
const KEY_PAIRS: [&str; 5] = [
    "{\"request_payload\":[\"motd\"]}",
    "{\"request_payload\":[\"updates.version-lock=newest\"]}",
    "{\"request_payload\":[\"=1\"]}",
    "{\"request_payload\":[]}",
    "{}",
];

/// Those that change nothing: they read, are refused, or have no value.
pub(super) fn harmless(locked_down: bool) -> Vec<Compared> {
    let compared = |exactly| move |request| Compared { request, exactly };
    let other = |method: &str, target: &str| Request { method: method.to_owned(), ..Request::get(target) };
    let patch = |body: &str| Request::patch(&format!("/settings?tx={NOBODY}"), body);
    let refused = [
        other("HEAD", "/os"),
        other("PUT", "/os"),
        Request::post("/os"),
        Request::post(&format!("/tx/commit?tx={NOBODY}")),
        Request::post(&format!("/tx/commit_and_apply?tx={NOBODY}")),
        Request { content_type: None, ..patch("{}") },
        Request { content_type: Some("text/plain".to_owned()), ..patch("{}") },
    ];
    let key_pairs = KEY_PAIRS.map(|body| Request::patch(&format!("/settings/keypair?tx={NOBODY}"), body));
    let texts = TEXTS.map(Request::get).into_iter().chain(refused).chain(PATCHES.map(patch)).chain(key_pairs);
    let all = READS
        .map(Request::get)
        .into_iter()
        .map(compared(Exactly::Json))
        .chain(LISTS.map(Request::get).into_iter().map(compared(Exactly::Type)))
        .chain(texts.map(compared(Exactly::Text)))
        .chain([compared(Exactly::UpToTheModel)(patch("{\"updates\":{\"nope\":1}}"))]);
    // Under API lockdown each of these is an error of the data store, whose words name paths of the host.
    all.filter(|one| !locked_down || !is_stored(&one.request)).collect()
}

/// Whether the answer comes from the data store.
fn is_stored(request: &Request) -> bool {
    let stores = ["/settings", "/tx", "/services", "/configuration-files", "/metadata"];
    stores.iter().any(|path| request.path().starts_with(path))
}

pub(super) fn status() -> Compared {
    Compared { request: Request::get("/updates/status"), exactly: Exactly::Json }
}

pub(super) fn command(command: Command) -> Compared {
    let path = match command {
        Command::Refresh => "/actions/refresh-updates",
        Command::Prepare => "/actions/prepare-update",
        Command::Activate => "/actions/activate-update",
        Command::Deactivate => "/actions/deactivate-update",
    };
    Compared { request: Request::post(path), exactly: Exactly::Text }
}
