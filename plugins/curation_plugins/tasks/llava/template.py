"""The chat template of LLaVA 1.5 in its Hugging Face form, with the supervised span marked.

The same text goes into the saved processor, so that any engine that loads the model asks it the way it was
trained. No system prompt, as in the converted checkpoints; `</s>` lies inside the generation span, so the model
learns to stop.
"""

LLAVA_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    " ASSISTANT:"
    "{% else %}"
    "{% generation %}"
    " {% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}</s>"
    "{% endgeneration %}"
    "{% endif %}"
    "{% endfor %}"
)
"""Jinja. `USER: <image>\\nQ ASSISTANT: A</s>`; turns follow each other without a separator."""
