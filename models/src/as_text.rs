//! Values that are written as one text: in JSON, in TOML, in a tag.

/// Has serde read and write a type as its `FromStr` and `Display` do.
macro_rules! as_text {
    ($name:ty) => {
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

/// Gives an enum without fields the words that it is written by: `as_str` and `FromStr`.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// As it stands in the configuration.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    other => Err(crate::as_text::not_among(other, &[$($word),+])),
                }
            }
        }
    };
}

/// Says that a text is none of these words.
pub(crate) fn not_among(text: &str, words: &[&str]) -> String {
    match words {
        [one, other] => format!("{text:?} is neither {one:?} nor {other:?}"),
        words => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("{text:?} is none of {}", words.join(", "))
        }
    }
}
