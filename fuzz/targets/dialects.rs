//! What a policy wrote, read by each dialect and each rule of extraction.
//!
//! The first byte chooses the dialect and whether the completion was cut off; the rest is the text, and the arguments
//! of a tool call.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollcage_rollout::{
    ActionForm, AnswerRule, Completion, Dialect, ExtractionRule, FinishReason, Intent, Pick, ToolCall,
    ToolForm, fenced_blocks, truncate_at_stop,
};

const NAMES: [&str; 2] = ["python", "py"];

/// Every form with every rule that goes with it.
static DIALECTS: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let text_call = ToolForm { text_tag: Some("tool_call".to_owned()), ..ToolForm::default() };
    let forms = [
        ActionForm::Fenced(Pick::First),
        ActionForm::Fenced(Pick::Last),
        ActionForm::Tags("execute".to_owned()),
        ActionForm::ToolCall(ToolForm::default()),
        ActionForm::ToolCall(text_call),
    ];
    let answers = [
        AnswerRule::LastCode,
        AnswerRule::Tag("solution".to_owned()),
        AnswerRule::Marked("answer".to_owned()),
        AnswerRule::Command("submit".to_owned()),
    ];
    let dialect = |form: &ActionForm, answer: &AnswerRule| Dialect {
        form: form.clone(),
        answer: answer.clone(),
        give_up: Some("give up".to_owned()),
        ..Dialect::fenced(NAMES)
    };
    forms.iter().flat_map(|form| answers.iter().map(move |answer| dialect(form, answer))).collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((&choice, text)) = input.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let (choice, is_cut_off) = (usize::from(choice >> 1), choice & 1 == 1);
    let dialect = &DIALECTS[choice % DIALECTS.len()];
    check_blocks(text);
    check_extraction(text, is_cut_off);
    check_dialect(dialect, text, is_cut_off);
});

/// Blocks lie one after the other in the text, and only the last may be open.
fn check_blocks(text: &str) {
    let blocks = fenced_blocks(text);
    let mut at = 0;
    for (place, block) in blocks.iter().enumerate() {
        assert!(block.range.start >= at && block.range.start < block.range.end);
        assert!(block.closed || place + 1 == blocks.len(), "an open block in the middle");
        at = block.range.end;
        let written = &text[block.range.clone()];
        assert!(block.code.lines().all(|line| written.contains(line)), "code that nobody wrote");
    }
}

fn check_extraction(text: &str, is_cut_off: bool) {
    for rule in [
        ExtractionRule::Fenced(Pick::First),
        ExtractionRule::Fenced(Pick::Last),
        ExtractionRule::Whole,
        ExtractionRule::Agnostics,
        ExtractionRule::LiveCodeBench,
        ExtractionRule::SandboxFusion,
    ] {
        let Ok(code) = rule.extract(text, &NAMES, is_cut_off) else { continue };
        match rule {
            ExtractionRule::Fenced(_) => assert!(code.lines().all(|line| text.contains(line))),
            ExtractionRule::Whole => assert_eq!(code, text),
            ExtractionRule::Agnostics | ExtractionRule::LiveCodeBench | ExtractionRule::SandboxFusion => {
                assert!(text.contains(&code), "code that nobody wrote");
            }
        }
    }
}

fn check_dialect(dialect: &Dialect, text: &str, is_cut_off: bool) {
    let call = ToolCall { id: "1".to_owned(), name: "run_code".to_owned(), arguments: text.to_owned() };
    let completion = Completion {
        tool_calls: vec![call],
        finish: if is_cut_off { FinishReason::Length } else { FinishReason::Stop },
        ..Completion::text(text)
    };
    let intent = dialect.read(&completion);
    let thoughtful = Completion { reasoning: Some("```python\nthought\n```".to_owned()), ..completion };
    assert_eq!(dialect.read(&thoughtful), intent, "a thought was taken for an action");
    match &intent {
        Intent::Run { code, stdin } => {
            assert!(!code.trim().is_empty());
            assert!(stdin.is_none() || matches!(dialect.form, ActionForm::ToolCall(_)));
        }
        Intent::Answer(answer) => {
            assert!(!answer.trim().is_empty() || matches!(dialect.form, ActionForm::ToolCall(_)));
        }
        Intent::AnswerLast | Intent::GiveUp => {}
        Intent::Void(reason) => assert!(!reason.to_string().is_empty()),
    }
    let stops = dialect.stop_sequences();
    let cut = truncate_at_stop(text, &stops);
    assert!(text.starts_with(cut) && stops.iter().all(|stop| !cut.contains(stop)));
}
