"""Results in the browser: `streamlit run app/main.py` in the project's folder."""

import streamlit as st

st.set_page_config(page_title="irstd", layout="wide")
st.navigation(
    [
        st.Page("pages/leaderboard.py", title="Leaderboard", default=True),
        st.Page("pages/images.py", title="Test images"),
    ]
).run()
