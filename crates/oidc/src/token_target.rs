/// What a token is to be for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct TokenTarget {
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// The API's address (RFC 8707).
    pub resource: Option<String>,
    /// The API's name, where a provider goes by that (RFC 8693 s2.1; others use it in all grants).
    pub audience: Option<String>,
}

impl TokenTarget {
    /// The parameters of a request for such a token.
    pub(crate) fn parameters<'a>(&'a self, scope: &'a mut String) -> Vec<(&'a str, &'a str)> {
        *scope = self.scopes.join(" ");
        let scope = Some(scope.as_str()).filter(|scope| !scope.is_empty());
        let named = [
            ("scope", scope),
            ("resource", self.resource.as_deref()),
            ("audience", self.audience.as_deref()),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}
