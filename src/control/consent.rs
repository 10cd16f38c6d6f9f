//! Leave to destroy data: a value that nobody can make without having asked.

/// Proof that somebody said yes.
#[derive(Debug)]
pub struct Consent(());

impl Consent {
    /// Returns consent where the name that was asked for was typed.
    pub fn typed(expected: &str, said: &str) -> Option<Self> {
        (!expected.is_empty() && said.trim() == expected).then_some(Self(()))
    }

    /// Returns consent where the flag that stands for every answer was given.
    pub fn flag(yes: bool) -> Option<Self> {
        yes.then_some(Self(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_or_the_flag_is_consent() {
        assert!(Consent::typed("lake", "lake\n").is_some());
        for said in ["", "y", "Lake", "lake2"] {
            assert!(Consent::typed("lake", said).is_none(), "{said}");
        }
        assert!(Consent::typed("", "").is_none());
        assert!(Consent::flag(false).is_none());
    }
}
