"""Keys from outside and named when they are of the wrong kind; nothing secret in errors, logs or recordings."""

import asyncio
import logging
import os

from rightseat import ConfigError, CopilotSDK
from rightseat.security.masking import mask, mask_secret

logging.basicConfig(level=logging.WARNING)


async def main():
    key = os.environ["COPILOT_API_KEY"]  # never in the code; `rightseat lint` finds those
    print("the key, for people:", mask_secret(key))

    async with CopilotSDK(api_key=key) as sdk:
        print((await sdk.chat("Reply with exactly: it works")).text)

    for wrong in ("sk-" + "0" * 20, "sk-ant-" + "0" * 20):
        try:
            await CopilotSDK(api_key=wrong).create_session()
        except ConfigError as e:
            print("refused before anything is sent:", e)

    print(mask(f"Authorization: Bearer {key}"))


asyncio.run(main())
