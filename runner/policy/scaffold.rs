//! The beginnings of a policy of one's own: a directory that builds as it is, without anything else of this project.
//!
//! The interface goes along: a plugin is built against the version it was begun with.

/// The language of a new policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C11, with a makefile.
    C,
    /// Rust, with the SDK beside it.
    Rust,
}

const SDK: [(&str, &str); 6] = [
    ("lib.rs", include_str!("../../plugins/abi/src/lib.rs")),
    ("policy.rs", include_str!("../../plugins/abi/src/policy.rs")),
    ("raw.rs", include_str!("../../plugins/abi/src/raw.rs")),
    ("request.rs", include_str!("../../plugins/abi/src/request.rs")),
    ("shim.rs", include_str!("../../plugins/abi/src/shim.rs")),
    ("vocabulary.rs", include_str!("../../plugins/abi/src/vocabulary.rs")),
];

/// The name in the templates; it is a fit name for a policy, a crate and a file.
const NAME: &str = "new-policy";

/// The files of a new policy, as paths below its directory and their text, and the library that building them gives.
/// `name` is one that [`is_fit`].
pub fn scaffold(name: &str, language: Language) -> (Vec<(String, String)>, String) {
    let named = |text: &str| text.replace(NAME, name);
    match language {
        Language::C => {
            let files = vec![
                (format!("{name}.c"), named(include_str!("scaffold/policy.c"))),
                ("Makefile".to_owned(), named(include_str!("scaffold/Makefile"))),
                (
                    "astra_policy.h".to_owned(),
                    include_str!("../../plugins/abi/include/astra_policy.h").to_owned(),
                ),
            ];
            (files, format!("{name}.so"))
        }
        Language::Rust => {
            let mut files = vec![
                ("Cargo.toml".to_owned(), named(include_str!("scaffold/policy.toml"))),
                ("src/lib.rs".to_owned(), named(include_str!("scaffold/policy.rs"))),
                ("astra-policy/Cargo.toml".to_owned(), sdk_manifest()),
            ];
            files.extend(SDK.map(|(file, text)| (format!("astra-policy/src/{file}"), text.to_owned())));
            (files, format!("target/release/lib{}.so", name.replace('-', "_")))
        }
    }
}

fn sdk_manifest() -> String {
    include_str!("scaffold/sdk.toml").replace("0.0.0", env!("CARGO_PKG_VERSION"))
}

/// Whether a name can be that of a policy, a crate and a file: a lower-case letter, then letters, digits and dashes.
pub fn is_fit(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_name_is_one_that_cargo_and_the_interface_take() {
        assert!(is_fit("by-size") && is_fit("a2"));
        for name in ["", "2fast", "-x", "Ring", "a b", "a/b", "..", "a_b", &"x".repeat(65)] {
            assert!(!is_fit(name), "{name}");
        }
    }

    #[test]
    fn the_sdk_goes_along_whole() {
        let modules = SDK[0].1.lines().filter_map(|line| {
            line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';')
        });
        for module in modules {
            assert!(SDK.iter().any(|(file, _)| file.strip_suffix(".rs") == Some(module)), "{module}");
        }
    }
}
