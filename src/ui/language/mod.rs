//! Which language an operator's screens speak. Everything is said in English first; what a screen shows is looked up here on its
//! way to the terminal, so that nobody else knows of languages, and documents stay as they are.

mod catalogue;
mod chinese;
#[cfg(test)]
mod sources;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::cli::LanguageChoice;

use catalogue::Catalogue;

/// Commands whose screens are what operators look at; the others show data, which nobody may translate.
const SCREENS: [&str; 9] = [
    "status",
    "health",
    "integrity",
    "diagnose",
    "start",
    "stop",
    "restart",
    "up",
    "down",
];

/// The language of one command's screen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    /// As everything is written.
    English,
    /// Simplified Chinese.
    Chinese(&'static Catalogue),
}

impl Language {
    /// Decides by the flag, else by the environment; commands that show data speak English.
    pub(crate) fn of(command: &str, flag: Option<LanguageChoice>, environment: &BTreeMap<String, String>) -> Self {
        let wanted = flag.unwrap_or_else(|| from_environment(environment));
        match wanted {
            LanguageChoice::Zh if SCREENS.contains(&command) => Self::Chinese(chinese::catalogue()),
            LanguageChoice::Zh | LanguageChoice::En => Self::English,
        }
    }

    /// Returns a text in this language; as it is, where there is no other.
    pub(crate) fn say(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::English => Cow::Borrowed(text),
            Self::Chinese(catalogue) => catalogue.say(text),
        }
    }

    /// Returns the name of a column in this language.
    pub(crate) fn column(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::English => Cow::Borrowed(name),
            Self::Chinese(catalogue) => catalogue.column(name),
        }
    }
}

/// POSIX: `LC_ALL` before `LC_MESSAGES` before `LANG`. A terminal of another encoding than UTF-8 could not show it.
fn from_environment(environment: &BTreeMap<String, String>) -> LanguageChoice {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let said = names.iter().filter_map(|name| environment.get(*name));
    let locale = said.map(String::as_str).find(|locale| !locale.is_empty());
    let locale = locale.unwrap_or_default();
    let (language, encoding) = locale.split_once('.').unwrap_or((locale, "UTF-8"));
    let is_unicode = encoding.to_lowercase().replace('-', "").starts_with("utf8");
    match language.starts_with("zh") && is_unicode {
        true => LanguageChoice::Zh,
        false => LanguageChoice::En,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(command: &str, flag: Option<LanguageChoice>, environment: &[(&str, &str)]) -> bool {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        matches!(
            Language::of(command, flag, &environment.collect()),
            Language::Chinese(_)
        )
    }

    #[test]
    fn the_flag_is_asked_before_the_environment_and_data_is_never_translated() {
        assert!(decided("status", None, &[("LANG", "zh_CN.UTF-8")]));
        assert!(decided("status", None, &[("LANG", "zh")]));
        assert!(decided("health", Some(LanguageChoice::Zh), &[("LANG", "C")]));
        assert!(decided("stop", None, &[("LC_ALL", ""), ("LANG", "zh_TW.utf8")]));
        assert!(!decided("status", Some(LanguageChoice::En), &[("LANG", "zh_CN.UTF-8")]));
        assert!(!decided("status", None, &[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")]));
        assert!(!decided("status", None, &[("LANG", "zh_CN.GBK")]));
        assert!(!decided("query", Some(LanguageChoice::Zh), &[]));
        assert!(!decided("config show", Some(LanguageChoice::Zh), &[]));
        assert!(!decided("status", None, &[]));
    }
}
