import { useRef, useState } from 'react';
import { Button } from '../components/button.tsx';
import { Notice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';
import { api } from '../data/api.ts';
import { RequestProblem } from '../data/problem.ts';
import { titleOfLoginProblem } from '../view/login-target.ts';
import styles from './login-page.module.css';

export function TokenForm({ onLoggedIn }: { onLoggedIn: () => void }) {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState<Error | null>(null);
  const [isSending, setIsSending] = useState(false);
  const field = useRef<HTMLInputElement>(null);

  const send = async (): Promise<void> => {
    if (isSending) return;
    if (token.trim() === '') {
      setProblem(new RequestProblem({ code: 'empty', message: 'Enter your token.', status: 400 }));
      field.current?.focus();
      return;
    }
    setIsSending(true);
    setProblem(null);
    try {
      await api.logIn(token.trim());
      onLoggedIn();
    } catch (error) {
      setProblem(error instanceof Error ? error : new Error(String(error)));
      field.current?.select();
    } finally {
      setIsSending(false);
    }
  };

  return (
    <form
      className={styles.form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <label className={styles.label} htmlFor="token">
        Token
      </label>
      <input
        id="token"
        ref={field}
        className={styles.input}
        type="password"
        autoComplete="current-password"
        autoCapitalize="off"
        spellCheck={false}
        maxLength={512}
        aria-invalid={problem !== null}
        aria-describedby="token-help token-problem"
        value={token}
        onChange={({ target }) => setToken(target.value)}
      />
      <p id="token-help" className={styles.help}>
        Whoever runs Landfall gave it to you: <code>landfall token NAME --role ROLE</code> makes one.
      </p>
      <div id="token-problem">
        {problem !== null && (
          <Notice tone="bad" role="alert" title={titleOfLoginProblem(problem)}>
            <p>
              <Sentence text={problem.message} />
            </p>
          </Notice>
        )}
      </div>
      <Button type="submit" look="main" aria-disabled={isSending}>
        {isSending ? 'Logging in …' : 'Log in'}
      </Button>
    </form>
  );
}
