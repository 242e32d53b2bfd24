"""Sentences that agents and callers say, in four languages. They fill prompts and histories to realistic sizes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """One language. `fact` is repeated with rising numbers until a system prompt has its length."""

    chars_per_s: float
    """Speaking rate, in characters per second."""
    rules: str
    fact: str
    openings: tuple[str, ...]
    replies: tuple[str, ...]


ENGLISH = Language(
    chars_per_s=15,
    rules=(
        "You speak on the telephone. Answer in one or two short sentences, in plain words, without lists or symbols. "
        "Ask one question at a time. Repeat dates, names and amounts back to the caller. If you do not know, say so and offer "
        "to pass the call on. Never read out card numbers. "
    ),
    fact="Item {n}: it costs {n}9 euros, is kept for {n} days, and can be changed until {n} hours before. ",
    openings=(
        "Hello, I would like to ask about my booking, please. It is under number {n}.",
        "Hi, good morning. I have a question about something I ordered last week, number {n}.",
        "Yes, hello, can you help me? I got a letter from you and I do not understand it.",
        "Hi, I am calling because something went wrong with number {n} and I need it today.",
    ),
    replies=(
        "Yes, that is right.",
        "No, I meant the other one, number {n}.",
        "Sorry, could you say that again, please? The line is not very good.",
        "All right. And how much would that cost me, all in all?",
        "Could we do it a bit later, say on the {n}th, in the afternoon?",
        "I already told your colleague that yesterday, and he said it would be no problem at all.",
        "Okay, thank you. One more thing: can I change it if my plans change?",
    ),
)
GERMAN = Language(
    chars_per_s=15,
    rules=(
        "Du sprichst am Telefon. Antworte in ein oder zwei kurzen Sätzen, in einfachen Worten, ohne Listen und Zeichen. "
        "Stelle immer nur eine Frage. Wiederhole Tage, Namen und Beträge. Wenn du etwas nicht weißt, sag es und biete an, "
        "den Anruf weiterzugeben. "
    ),
    fact="Leistung {n}: Sie kostet {n}9 Euro, dauert {n} Minuten und lässt sich bis {n} Stunden vorher verschieben. ",
    openings=(
        "Guten Tag, ich möchte einen Termin verschieben, die Nummer ist {n}.",
        "Hallo, ich rufe wegen der Rechnung Nummer {n} an, da stimmt etwas nicht.",
        "Grüß Gott, können Sie mir sagen, ob am {n}. noch etwas frei ist?",
    ),
    replies=(
        "Ja, genau.",
        "Nein, ich meinte die andere, Nummer {n}.",
        "Entschuldigung, könnten Sie das wiederholen? Die Verbindung ist schlecht.",
        "Gut. Und was würde das kosten?",
        "Ginge es auch später, vielleicht am {n}., am Nachmittag?",
        "Das habe ich Ihrer Kollegin gestern schon gesagt, und für sie war es überhaupt kein Problem.",
    ),
)
SPANISH = Language(
    chars_per_s=16,
    rules=(
        "Hablas por teléfono. Responde con una o dos frases cortas, con palabras sencillas, sin listas ni símbolos. "
        "Haz una sola pregunta cada vez. Repite fechas, nombres e importes. Si no sabes algo, dilo y ofrece pasar la llamada. "
    ),
    fact="Viaje {n}: cuesta {n}9 euros, dura {n} días y se puede cambiar hasta {n} horas antes. ",
    openings=(
        "Buenos días, quería preguntar por mi reserva, el número es {n}.",
        "Hola, ¿me puede ayudar? Tengo un problema con el viaje número {n}.",
        "Buenas, llamo porque todavía no he recibido nada y salimos mañana.",
    ),
    replies=(
        "Sí, eso es.",
        "No, me refería al otro, el número {n}.",
        "Perdone, ¿me lo puede repetir? Se oye muy mal.",
        "De acuerdo. ¿Y cuánto costaría todo junto?",
        "¿Podría ser un poco más tarde, el día {n}, por la tarde?",
        "Eso ya se lo dije ayer a su compañera, y me dijo que no había ningún problema.",
    ),
)
JAPANESE = Language(
    chars_per_s=7,
    rules=(
        "あなたは電話で話しています。一文か二文で、やさしい言葉で短く答えてください。箇条書きや記号は使わないでください。"
        "質問は一度に一つだけ。日付、名前、金額は必ず復唱してください。分からないときは、そう伝えてください。"
    ),
    fact="商品{n}は{n}90円で、{n}日間保管され、{n}時間前まで変更できます。",
    openings=(
        "もしもし、予約番号{n}についてお聞きしたいのですが。",
        "すみません、注文{n}がまだ届いていないのですが、どうなっていますか。",
    ),
    replies=(
        "はい、そうです。",
        "いいえ、{n}番のほうです。",
        "すみません、もう一度お願いできますか。少し聞こえにくいです。",
        "分かりました。全部でいくらになりますか。",
        "もう少し遅い時間、{n}日の午後に変えられますか。",
    ),
)
