//! How a policy says what it wants done: action dialects as data.
//!
//! Owns the reading of one completion into an [`Intent`]. Whether an intent is carried out, and what becomes of
//! an answer, is the environment's business.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::answer::NoCode;
use super::fence::{FencedBlock, Pick, choose_block, fenced_blocks};
use super::tags::{TagSpan, after_reasoning, tag_spans};
use super::tool::{ReadCall, ToolForm, first_call};
use crate::completion::Completion;

/// Where the code of an action stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionForm {
    /// In a fenced block of the session's language.
    Fenced(Pick),
    /// Between `<name>` and `</name>`, where a fence around it is taken off. The first span counts: what
    /// follows it may be imagined output.
    Tags(String),
    /// In a tool call. The first call counts.
    ToolCall(ToolForm),
}

/// How an answer is told from a step. One rule, whatever the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnswerRule {
    /// The last code is the answer, once the policy stops writing code or has no turn left to run it in.
    #[default]
    LastCode,
    /// Text between `<name>` and `</name>` outside any fence is the answer; a fence around it is taken off.
    Tag(String),
    /// The form's own mark: the word after the language in a fence's info string (```` ```python answer ````),
    /// the name of a second tool (whose `answer`, or else only, string argument is the answer), or in the tag
    /// form a second tag.
    Marked(String),
    /// A first word of the code: `submit f` answers `f`; alone it answers with the last code that was run.
    Command(String),
}

/// A dialect: the contract between the prompt and the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Where code stands.
    pub form: ActionForm,
    /// How an answer is told from a step.
    pub answer: AnswerRule,
    /// Tags of the session's language, its usual name first; used to tell fences apart and in explanations.
    pub language_tags: Vec<Arc<str>>,
    /// Text within this tag at the front is thought, not action.
    pub reasoning_tag: Option<String>,
    /// Code, tool or bare text that consists of this word ends the episode without an answer.
    pub give_up: Option<String>,
}

impl Dialect {
    /// Fenced code of a language, the last block counting, and the last code as the answer.
    pub fn fenced(language_tags: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        Self {
            form: ActionForm::Fenced(Pick::Last),
            answer: AnswerRule::LastCode,
            language_tags: language_tags.into_iter().map(Into::into).collect(),
            reasoning_tag: Some("think".to_owned()),
            give_up: None,
        }
    }

    /// `<execute>` for code and `<solution>` for the answer.
    pub fn execute_and_solution(language_tags: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        Self {
            form: ActionForm::Tags("execute".to_owned()),
            answer: AnswerRule::Tag("solution".to_owned()),
            ..Self::fenced(language_tags)
        }
    }

    /// Sequences after which a policy has nothing useful left to say in a turn: the closing tags.
    pub fn stop_sequences(&self) -> Vec<String> {
        let action = match &self.form {
            ActionForm::Tags(name) => Some(name),
            ActionForm::ToolCall(form) => form.text_tag.as_ref(),
            ActionForm::Fenced(_) => None,
        };
        action.into_iter().chain(self.answer_tag()).map(|name| format!("</{name}>")).collect()
    }

    /// Reads what one completion wants done.
    pub fn read(&self, completion: &Completion) -> Intent {
        let visible = match &self.reasoning_tag {
            Some(tag) => after_reasoning(&completion.text, tag),
            None => &completion.text,
        };
        let blocks = fenced_blocks(visible);
        let reader = Reader { dialect: self, completion, visible, blocks: &blocks };
        reader.read().unwrap_or_else(Intent::Void)
    }

    /// One sentence that tells the policy how to write an action.
    pub fn usage_hint(&self) -> String {
        let language = self.language_tags.first().map_or("", |tag| tag.as_ref());
        let code = match &self.form {
            ActionForm::Fenced(_) => format!("Write code in a ```{language} block"),
            ActionForm::Tags(name) => format!("Write code between <{name}> and </{name}>"),
            ActionForm::ToolCall(form) => {
                format!("Call the tool `{}` with the string `{}`", form.function, form.code_argument)
            }
        };
        let answer = match (&self.answer, &self.form) {
            (AnswerRule::LastCode, _) => "; the last code you write is your answer".to_owned(),
            (AnswerRule::Tag(name), _) | (AnswerRule::Marked(name), ActionForm::Tags(_)) => {
                format!(", and the final answer between <{name}> and </{name}>")
            }
            (AnswerRule::Marked(mark), ActionForm::Fenced(_)) => {
                format!(", and the final answer in a ```{language} {mark} block")
            }
            (AnswerRule::Marked(tool), ActionForm::ToolCall(_)) => {
                format!(", and the tool `{tool}` to give the final answer")
            }
            (AnswerRule::Command(word), _) => format!("; code that starts with `{word}` gives the answer"),
        };
        format!("{code}{answer}.")
    }

    fn answer_tag(&self) -> Option<&String> {
        match (&self.answer, &self.form) {
            (AnswerRule::Tag(name), _) | (AnswerRule::Marked(name), ActionForm::Tags(_)) => Some(name),
            (
                AnswerRule::LastCode | AnswerRule::Command(_) | AnswerRule::Marked(_),
                ActionForm::Fenced(_) | ActionForm::Tags(_) | ActionForm::ToolCall(_),
            ) => None,
        }
    }
}

/// What a completion wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Run this.
    Run {
        /// The code.
        code: String,
        /// Standard input, where the form has a place for it.
        stdin: Option<String>,
    },
    /// Have others carry out this call.
    Call {
        /// The function.
        name: String,
        /// Its arguments.
        arguments: Map<String, Value>,
    },
    /// Judge this.
    Answer(String),
    /// Judge the last code that was run.
    AnswerLast,
    /// End without an answer.
    GiveUp,
    /// Nothing that can be done.
    Void(VoidReason),
}

/// Why a completion could not be acted upon. Its text is written for the policy to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoidReason {
    /// Neither code nor an answer.
    NoAction,
    /// The completion was cut off inside its action.
    Truncated,
    /// Code of another language only.
    OtherLanguage {
        /// The tag it carried.
        tag: String,
    },
    /// The place for code is there and empty.
    EmptyCode,
    /// A tool call that cannot be read.
    MalformedToolCall {
        /// What is wrong with it.
        why: String,
    },
    /// A tool that does not exist.
    UnknownTool {
        /// The name it was called by.
        name: String,
    },
    /// The last code was to be the answer, and there is none.
    NothingToSubmit,
}

impl fmt::Display for VoidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAction => f.write_str("Nothing was done: neither code nor a final answer was found."),
            Self::Truncated => f.write_str(
                "Nothing was done: the message was cut off by the token limit before its action ended.",
            ),
            Self::OtherLanguage { tag } => {
                write!(f, "Nothing was done: the only code was tagged `{}`.", tag.escape_default())
            }
            Self::EmptyCode => f.write_str("Nothing was done: the code was empty."),
            Self::MalformedToolCall { why } => {
                write!(f, "Nothing was done: the tool call could not be read: {why}.")
            }
            Self::UnknownTool { name } => {
                write!(f, "Nothing was done: there is no tool `{}`.", name.escape_default())
            }
            Self::NothingToSubmit => {
                f.write_str("Nothing was done: no code has been run that could be submitted.")
            }
        }
    }
}

/// One reading: the parts of a completion that the rules look at.
struct Reader<'a> {
    dialect: &'a Dialect,
    completion: &'a Completion,
    visible: &'a str,
    blocks: &'a [FencedBlock],
}

impl Reader<'_> {
    fn read(&self) -> Result<Intent, VoidReason> {
        if self.is_give_up(self.visible) {
            return Ok(Intent::GiveUp);
        }
        // An answer outranks a step: the policy has said that it is done.
        if let Some(answer) = self.tagged_answer()? {
            return Ok(answer);
        }
        let intent = match &self.dialect.form {
            ActionForm::Fenced(pick) => self.read_fenced(*pick),
            ActionForm::Tags(name) => self.read_tag(name),
            ActionForm::ToolCall(form) => self.read_call(form),
        };
        match intent {
            // To fall silent is to answer only if nothing was cut off.
            Err(VoidReason::NoAction) if self.completion.is_truncated() => Err(VoidReason::Truncated),
            Err(VoidReason::NoAction) if self.dialect.answer == AnswerRule::LastCode => {
                Ok(Intent::AnswerLast)
            }
            other => other,
        }
    }

    fn tagged_answer(&self) -> Result<Option<Intent>, VoidReason> {
        let Some(name) = self.dialect.answer_tag() else { return Ok(None) };
        // Where both tags stand in one turn, the step that comes first is done first.
        let spans = tag_spans(self.visible, name, self.blocks);
        let Some(span) = spans.first() else { return Ok(None) };
        if let ActionForm::Tags(step) = &self.dialect.form {
            let steps = tag_spans(self.visible, step, self.blocks);
            if steps.first().is_some_and(|step| step.start < span.start) {
                return Ok(None);
            }
        }
        let answer = self.span_content(span)?;
        if answer.trim().is_empty() { Err(VoidReason::EmptyCode) } else { Ok(Some(Intent::Answer(answer))) }
    }

    fn read_fenced(&self, pick: Pick) -> Result<Intent, VoidReason> {
        if let AnswerRule::Marked(mark) = &self.dialect.answer {
            let is_marked =
                |block: &&FencedBlock| block.marks.contains(mark) || block.tag.as_ref() == Some(mark);
            if let Some(block) = self.blocks.iter().rfind(is_marked) {
                return Ok(Intent::Answer(self.block_code(block)?));
            }
        }
        let block = choose_block(self.blocks, &self.dialect.language_tags, pick);
        match block {
            Some(block) => self.code_intent(self.block_code(block)?, None),
            None => Err(match NoCode::explain(self.blocks) {
                NoCode::OtherLanguage { tag } => VoidReason::OtherLanguage { tag },
                NoCode::NotFound | NoCode::Unclosed => VoidReason::NoAction,
            }),
        }
    }

    fn read_tag(&self, name: &str) -> Result<Intent, VoidReason> {
        let spans = tag_spans(self.visible, name, self.blocks);
        let span = spans.first().ok_or(VoidReason::NoAction)?;
        self.code_intent(self.span_content(span)?, None)
    }

    fn read_call(&self, form: &ToolForm) -> Result<Intent, VoidReason> {
        let call = first_call(form, self.completion, self.visible).ok_or(VoidReason::NoAction)??;
        if call.name == form.function {
            let Some(code) = call.string(&form.code_argument)? else {
                let why = format!("`{}` is missing", form.code_argument);
                return Err(VoidReason::MalformedToolCall { why });
            };
            return self.code_intent(code, call.string(&form.stdin_argument)?);
        }
        if form.others.iter().any(|other| other.as_ref() == call.name) {
            return Ok(Intent::Call { name: call.name, arguments: call.arguments });
        }
        if self.is_give_up(&call.name) {
            return Ok(Intent::GiveUp);
        }
        match &self.dialect.answer {
            AnswerRule::Marked(tool) if *tool == call.name => tool_answer(&call),
            AnswerRule::Marked(_) | AnswerRule::LastCode | AnswerRule::Tag(_) | AnswerRule::Command(_) => {
                Err(VoidReason::UnknownTool { name: call.name })
            }
        }
    }

    fn code_intent(&self, code: String, stdin: Option<String>) -> Result<Intent, VoidReason> {
        let trimmed = code.trim();
        if trimmed.is_empty() {
            return Err(VoidReason::EmptyCode);
        }
        if self.is_give_up(trimmed) {
            return Ok(Intent::GiveUp);
        }
        if let AnswerRule::Command(word) = &self.dialect.answer
            && let Some(rest) = trimmed.strip_prefix(word.as_str())
            && !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
        {
            let rest = rest.trim();
            return Ok(if rest.is_empty() { Intent::AnswerLast } else { Intent::Answer(rest.to_owned()) });
        }
        Ok(Intent::Run { code, stdin })
    }

    fn block_code(&self, block: &FencedBlock) -> Result<String, VoidReason> {
        if !block.closed && self.completion.is_truncated() {
            Err(VoidReason::Truncated)
        } else if block.is_blank() {
            Err(VoidReason::EmptyCode)
        } else {
            Ok(block.code.clone())
        }
    }

    /// The content of a span without a fence around it. A span that is not closed counts as closed when the
    /// completion ended by itself: servers drop the stop sequence that ended it.
    fn span_content(&self, span: &TagSpan<'_>) -> Result<String, VoidReason> {
        if !span.closed && self.completion.is_truncated() {
            return Err(VoidReason::Truncated);
        }
        let blocks = fenced_blocks(span.content);
        let fenced = choose_block(&blocks, &self.dialect.language_tags, Pick::Last);
        Ok(fenced.map_or_else(|| span.content.trim_matches('\n').to_owned(), |block| block.code.clone()))
    }

    fn is_give_up(&self, text: &str) -> bool {
        self.dialect.give_up.as_deref().is_some_and(|word| text.trim() == word)
    }
}

fn tool_answer(call: &ReadCall) -> Result<Intent, VoidReason> {
    if call.arguments.is_empty() {
        return Ok(Intent::AnswerLast);
    }
    let answer = call.string("answer")?.or_else(|| call.only_string());
    let why = || VoidReason::MalformedToolCall { why: "`answer` is missing".to_owned() };
    answer.map(Intent::Answer).ok_or_else(why)
}
