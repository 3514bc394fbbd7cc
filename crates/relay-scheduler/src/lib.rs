//! Which account serves a request, and why: a pure, explainable decision to embed anywhere.
