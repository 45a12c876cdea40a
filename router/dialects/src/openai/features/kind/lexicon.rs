//! What words at the beginning of a message say about the work.

use atp_core::TaskKind;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// What is to be done.
    Does(TaskKind),
    /// That something is to be made.
    Makes,
    /// That something that is there is to be looked at or mended.
    Mends,
    /// What is to be made.
    Thing(TaskKind),
    /// Who the model is to be.
    Who(TaskKind),
    /// The beginning of a question for a number.
    How,
    /// Its second word.
    Many,
    /// Politeness, and small words.
    Polite,
    /// Anything else.
    None,
}

/// The sense of a word in lower case.
pub(super) fn sense(word: &str) -> Sense {
    if let Some(kind) = does(word) {
        return Sense::Does(kind);
    }
    if let Some(kind) = thing(word) {
        return Sense::Thing(kind);
    }
    if let Some(kind) = who(word) {
        return Sense::Who(kind);
    }
    manner(word)
}

fn does(word: &str) -> Option<TaskKind> {
    Some(match word {
        "summarize" | "summarise" | "summarizing" | "tldr" | "condense" | "fasse" | "fass" | "zusammenfassen"
        | "résume" | "résumez" | "résumer" | "synthétise" | "synthétisez" | "resume" | "resuma" | "resumir"
        | "resúmeme" | "sintetiza" => TaskKind::Summarize,
        "translate" | "translating" | "übersetze" | "übersetz" | "übersetzen" | "traduis" | "traduisez"
        | "traduire" | "traduce" | "traduzca" | "traducir" | "tradúceme" | "tradúcelo" => TaskKind::Translate,
        "extract" | "extracting" | "extrahiere" | "extrahieren" | "extrais" | "extrayez" | "extraire" | "extrae"
        | "extraiga" | "extraer" => TaskKind::Extract,
        "classify" | "classifying" | "categorize" | "categorise" | "klassifiziere" | "klassifizieren"
        | "kategorisiere" | "classifie" | "classifiez" | "classifier" | "catégorise" | "catégorisez" | "clasifica"
        | "clasifique" | "clasificar" | "categoriza" => TaskKind::Classify,
        "solve" | "prove" | "calculate" | "compute" | "derive" | "löse" | "beweise" | "berechne" | "berechnen"
        | "résous" | "résolvez" | "démontre" | "démontrez" | "prouve" | "calculez" | "calcule" | "calcula"
        | "resuelve" | "resuelva" | "demuestra" => TaskKind::Reason,
        "implement" | "refactor" | "debug" | "program" | "implementiere" | "programmiere" | "refaktoriere"
        | "implémente" | "implémentez" | "refactorise" | "implementa" | "implemente" | "refactoriza" | "depura" => {
            TaskKind::Code
        }
        _ => return None,
    })
}

fn thing(word: &str) -> Option<TaskKind> {
    Some(match word {
        "summary" | "zusammenfassung" | "résumé" | "resumen" | "synopsis" => TaskKind::Summarize,
        "translation" | "übersetzung" | "traduction" | "traducción" => TaskKind::Translate,
        "proof" | "beweis" | "preuve" | "demostración" => TaskKind::Reason,
        "json" | "yaml" | "csv" | "xml" | "table" | "tabelle" | "tableau" | "tabla" => TaskKind::Structure,
        "function" | "script" | "code" | "class" | "method" | "query" | "regex" | "sql" | "python" | "javascript"
        | "typescript" | "rust" | "java" | "bash" | "html" | "css" | "api" | "unittest" | "algorithm" | "bug"
        | "compiler" | "funktion" | "skript" | "programm" | "klasse" | "fonction" | "programme" | "función"
        | "programa" | "código" | "fehlermeldung" | "stacktrace" => TaskKind::Code,
        _ => return None,
    })
}

fn who(word: &str) -> Option<TaskKind> {
    Some(match word {
        "translator" | "translates" | "übersetzer" | "übersetzerin" | "traducteur" | "traductrice" | "traductor"
        | "traductora" => TaskKind::Translate,
        "summarizer" | "summariser" | "summarizes" | "summarises" => TaskKind::Summarize,
        "extractor" | "extracts" | "parser" => TaskKind::Extract,
        "moderator" | "classifies" | "labeler" | "annotator" => TaskKind::Classify,
        "programmer" | "coder" | "coding" | "programming" | "developer" | "software" | "programmierer"
        | "entwickler" | "développeur" | "programador" | "desarrollador" => TaskKind::Code,
        "mathematician" | "mathematiker" | "mathématicien" | "matemático" => TaskKind::Reason,
        _ => return None,
    })
}

fn manner(word: &str) -> Sense {
    match word {
        "write" | "create" | "make" | "generate" | "build" | "give" | "produce" | "output" | "return" | "draft"
        | "schreibe" | "schreib" | "erstelle" | "erzeuge" | "mach" | "mache" | "gib" | "écris" | "écrivez" | "crée"
        | "créez" | "donne" | "donnez" | "fais" | "faites" | "génère" | "escribe" | "escriba" | "crea" | "haz"
        | "dame" | "genera" => Sense::Makes,
        "fix" | "explain" | "review" | "optimize" | "optimise" | "improve" | "check" | "behebe" | "erkläre"
        | "prüfe" | "optimiere" | "verbessere" | "corrige" | "corrigez" | "explique" | "expliquez" | "vérifie"
        | "arregla" | "explica" | "optimiza" | "mejora" | "revisa" => Sense::Mends,
        "how" | "wie" => Sense::How,
        // These ask for a number by themselves.
        "wieviel" | "wieviele" | "combien" | "cuántos" | "cuántas" | "cuánto" | "cuánta" => {
            Sense::Does(TaskKind::Reason)
        }
        "many" | "much" | "viel" | "viele" | "vielen" => Sense::Many,
        _ if is_polite(word) => Sense::Polite,
        _ => Sense::None,
    }
}

/// Greetings, politeness, and the small words that stand between them and what is wanted.
fn is_polite(word: &str) -> bool {
    POLITE.iter().any(|words| words.contains(&word))
}

/// English, German, French, Spanish.
const POLITE: [&[&str]; 4] = [
    &[
        "please",
        "can",
        "could",
        "would",
        "will",
        "you",
        "i",
        "we",
        "want",
        "need",
        "d",
        "like",
        "to",
        "me",
        "help",
        "let",
        "s",
        "us",
        "hey",
        "hi",
        "hello",
        "ok",
        "okay",
        "now",
        "then",
        "just",
        "briefly",
        "quickly",
        "carefully",
        "task",
        "your",
        "is",
        "my",
        "the",
        "following",
        "question",
    ],
    &[
        "bitte",
        "kannst",
        "kann",
        "könntest",
        "können",
        "könnten",
        "du",
        "sie",
        "ich",
        "möchte",
        "mir",
        "uns",
        "hallo",
        "mal",
        "nun",
        "jetzt",
        "kurz",
        "dass",
    ],
    &[
        "te",
        "vous",
        "plaît",
        "peux",
        "pouvez",
        "pourrais",
        "pourriez",
        "tu",
        "je",
        "voudrais",
        "veux",
        "bonjour",
        "salut",
        "moi",
        "maintenant",
        "il",
        "aide",
    ],
    &["por", "favor", "puedes", "puede", "podrías", "podría", "quiero", "necesito", "hola", "ahora", "que"],
];
