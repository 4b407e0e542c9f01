//! Reads a JSON tree and remembers where it is, so that an error names the element.

use serde_json::{Map, Value};

/// Why a file is no FHIR that can be read. Names the element, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{element}: {problem}")]
pub struct FhirError {
    /// Where, for example `Bundle.entry[2].resource.status`; empty: the file as a whole.
    pub element: String,
    /// What is wrong.
    pub problem: String,
}

impl FhirError {
    pub(crate) fn new(element: impl Into<String>, problem: impl Into<String>) -> Self {
        let (element, problem) = (element.into(), problem.into());
        let element = if element.is_empty() { "file".to_owned() } else { element };
        Self { element, problem }
    }
}

/// An element of the tree.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    /// The root of a file, which is an object.
    pub(crate) fn root(value: &'a Value) -> Result<Self, FhirError> {
        let node = Self { value, path: String::new() };
        node.fields()?;
        Ok(node)
    }

    /// A resource, whose elements are named after its type.
    pub(crate) fn renamed(&self) -> Result<Self, FhirError> {
        let kind = self.required("resourceType")?.text()?;
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(FhirError::new(self.path_of("resourceType"), "is no type of resource"));
        }
        let path = if self.path.is_empty() { kind.to_owned() } else { format!("{}({kind})", self.path) };
        Ok(Self { value: self.value, path })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is a resource of this type.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.value.get("resourceType").and_then(Value::as_str) == Some(kind)
    }

    /// An element that may be missing.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Self>, FhirError> {
        let found = self.fields()?.get(name).filter(|value| !value.is_null());
        Ok(found.map(|value| Self { value, path: self.path_of(name) }))
    }

    /// An element that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<Self, FhirError> {
        self.get(name)?.ok_or_else(|| FhirError::new(self.path_of(name), "is missing"))
    }

    /// The elements of a list; none if it is missing.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<Self>, FhirError> {
        let Some(node) = self.get(name)? else { return Ok(Vec::new()) };
        let Value::Array(list) = node.value else { return Err(node.wrong("a list")) };
        let element = |(at, value)| Self { value, path: format!("{}[{at}]", node.path) };
        Ok(list.iter().enumerate().map(element).collect())
    }

    /// The text of this element.
    pub(crate) fn text(&self) -> Result<&'a str, FhirError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    /// The text of an element; empty if it is missing.
    pub(crate) fn text_of(&self, name: &str) -> Result<String, FhirError> {
        Ok(self.get(name)?.map(|node| node.text()).transpose()?.unwrap_or_default().to_owned())
    }

    /// An element of an element, or `None` if one of them is missing.
    pub(crate) fn at(&self, names: &[&str]) -> Result<Option<Self>, FhirError> {
        let mut node = self.clone();
        for name in names {
            let Some(inner) = node.get(name)? else { return Ok(None) };
            node = inner;
        }
        Ok(Some(node))
    }

    /// The text of an element of an element; empty if one of them is missing.
    pub(crate) fn text_at(&self, names: &[&str]) -> Result<String, FhirError> {
        Ok(self.at(names)?.map(|node| node.text()).transpose()?.unwrap_or_default().to_owned())
    }

    /// The extension with this URL.
    pub(crate) fn extension(&self, url: &str) -> Result<Option<Self>, FhirError> {
        for extension in self.list("extension")? {
            if extension.text_of("url")? == url {
                return Ok(Some(extension));
            }
        }
        Ok(None)
    }

    /// The code of the first coding of this system in a `CodeableConcept`; empty if there is none.
    pub(crate) fn code_of(&self, system: &str) -> Result<String, FhirError> {
        for coding in self.list("coding")? {
            if coding.text_of("system")? == system {
                return coding.text_of("code");
            }
        }
        Ok(String::new())
    }

    /// The same element without what cannot be read in it, to hash what has no identifier.
    pub(crate) const fn value(&self) -> &'a Value {
        self.value
    }

    fn fields(&self) -> Result<&'a Map<String, Value>, FhirError> {
        self.value.as_object().ok_or_else(|| self.wrong("an object"))
    }

    fn wrong(&self, wanted: &str) -> FhirError {
        FhirError::new(self.path.clone(), format!("must be {wanted}"))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}
