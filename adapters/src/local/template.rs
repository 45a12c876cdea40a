//! The chat template of the file: from messages to the text that the model was taught to read.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

/// Its name among templates, for error messages.
const NAME: &str = "chat_template";

/// One message, as templates know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: String,
}

/// The template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    first: String,
    last: String,
}

impl Template {
    /// Reads a template; `names` are those of the first and the last token.
    ///
    /// # Errors
    /// What is wrong in it, also where one message of a user is too much for it.
    pub(super) fn new(source: String, names: (&str, &str)) -> Result<Self, String> {
        let mut environment = Environment::new();
        // As the templates' authors have it.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        let refuse = |text: String| -> Result<String, Error> { Err(Error::new(ErrorKind::InvalidOperation, text)) };
        environment.add_function("raise_exception", refuse);
        environment.add_template_owned(NAME, source).map_err(|error| error.to_string())?;
        let template = Self { environment, first: names.0.to_owned(), last: names.1.to_owned() };
        template.text(&[Message { role: "user".to_owned(), content: "hello".to_owned() }])?;
        Ok(template)
    }

    /// The text of a conversation, up to where the model is to speak.
    ///
    /// # Errors
    /// What the template refuses.
    pub(super) fn text(&self, messages: &[Message]) -> Result<String, String> {
        let message = |message: &Message| {
            Value::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())])
        };
        let values = context! {
            messages => messages.iter().map(message).collect::<Vec<Value>>(),
            add_generation_prompt => true,
            bos_token => self.first.as_str(),
            eos_token => self.last.as_str(),
        };
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(values));
        rendered.map_err(|error| error.to_string())
    }
}
