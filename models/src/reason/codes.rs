//! What makes an enum of reasons: a code and a sentence for each.

macro_rules! reasons {
    // With an enum of the codes alone.
    ($(#[$doc:meta])* $name:ident, $codes:ident { $(
        $(#[$vdoc:meta])* $variant:ident $({ $($fields:tt)* })? = $code:literal, $text:literal;
    )+ }) => {
        reasons!($(#[$doc])* $name { $($(#[$vdoc])* $variant $({ $($fields)* })? = $code, $text;)+ });

        #[doc = concat!("The codes of [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $codes {
            $($variant,)+
        }

        impl $codes {
            /// Finds a code as reports carry it.
            pub fn find(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $(
        $(#[$vdoc:meta])* $variant:ident $({ $($(#[$fdoc:meta])* $field:ident : $ty:ty),+ $(,)? })? = $code:literal, $text:literal;
    )+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
        #[serde(tag = "reason", rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* #[error($text)] $variant $({ $($(#[$fdoc])* $field: $ty),+ })?,)+
        }

        impl $name {
            /// Every code, in the order of the documents.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// The code that reports carry.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)+
                }
            }
        }
    };
}
