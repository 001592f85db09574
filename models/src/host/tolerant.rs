//! Reading what may be newer than this program.

use semver::Version;
use serde::{Deserialize, Deserializer};

/// An enum with the texts of its values, which keeps a text that it does not know.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A value that this program does not know, as the host wrote it; empty where the host wrote null.
            Unknown(String),
            #[doc(hidden)]
            #[default]
            Missing,
        }

        impl $name {
            /// The value, where this program knows it or the host said nothing; else `unknown`.
            #[must_use]
            pub fn known(self) -> Self {
                match self {
                    Self::Unknown(_) => Self::Unknown("unknown".to_owned()),
                    known => known,
                }
            }

            /// The host's own spelling.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(text) => text,
                    Self::Missing => "",
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    "" => Self::Missing,
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(String::deserialize(deserializer)?.as_str()))
            }
        }
    };
}

pub(super) use open_enum;

/// Takes null for the default.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a version as hosts and people write it, with or without the leading `v` that Bottlerocket accepts in
/// `version-lock`.
pub fn parse_version(text: &str) -> Option<Version> {
    let text = text.trim();
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// A part of a report that is no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoVersion {
    /// Where it stands.
    pub(crate) at: &'static str,
    /// What stands there, cut.
    pub(crate) text: String,
}
