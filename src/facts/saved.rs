//! Facts in a file: JSON, of a form that has a number.

use super::Facts;

/// Number of the form. It changes when a fact changes its meaning or a new one cannot be left out.
pub(crate) const SCHEMA: u32 = 1;

/// Why a text holds no facts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SavedError {
    /// No JSON, or cut short.
    #[error("no facts file: {0}")]
    Malformed(#[from] serde_json::Error),
    /// JSON without a number of its form.
    #[error("no facts file: it has no schema")]
    NoSchema,
    /// Written by a newer denet, or an older one.
    #[error("facts of schema {found}, and this denet reads schema {SCHEMA} only")]
    Schema { found: u64 },
}

impl Facts {
    /// Facts as [`Facts::to_json`] wrote them.
    ///
    /// # Errors
    /// The text is no JSON, of another schema, or does not hold all facts.
    pub(crate) fn from_json(text: &str) -> Result<Self, SavedError> {
        // The number first: what else stands there depends on it.
        let value: serde_json::Value = serde_json::from_str(text)?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        match schema {
            None => Err(SavedError::NoSchema),
            Some(found) if found != u64::from(SCHEMA) => Err(SavedError::Schema { found }),
            Some(_) => Ok(serde_json::from_value(value)?),
        }
    }

    /// As JSON, for people to look through and [`Facts::from_json`] to read.
    ///
    /// # Errors
    /// None in practice: every fact can be written.
    pub(crate) fn to_json(&self) -> Result<String, SavedError> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;
    use crate::sys::root::Root;

    fn facts() -> Facts {
        Facts::read(&Root::new("/proc/self/no-such-tree"), &Target::default())
    }

    #[test]
    fn what_is_saved_is_read_again() {
        for facts in [facts(), Facts::probe()] {
            let text = facts.to_json().unwrap();
            assert_eq!(Facts::from_json(&text).unwrap(), facts);
        }
    }

    #[test]
    fn another_form_or_half_a_file_is_refused() {
        let text = facts().to_json().unwrap();
        let refused = |text: &str| Facts::from_json(text).unwrap_err();
        let newer = text.replace("\"schema\": 1", "\"schema\": 2");
        assert!(matches!(refused(&newer), SavedError::Schema { found: 2 }));
        assert!(matches!(refused("{}"), SavedError::NoSchema));
        assert!(matches!(refused("[1]"), SavedError::NoSchema));
        assert!(matches!(
            refused("{\"schema\": 1}"),
            SavedError::Malformed(_)
        ));
        for end in [0, 1, text.len() / 2, text.len() - 1] {
            assert!(matches!(refused(&text[..end]), SavedError::Malformed(_)));
        }
        let wrong = text.replace("\"config\": \"absent\"", "\"config\": \"perhaps\"");
        assert!(matches!(refused(&wrong), SavedError::Malformed(_)));
    }
}
